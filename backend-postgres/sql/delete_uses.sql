DELETE FROM blob_uses AS u USING unnest($1::bigint[], $2::bytea[], $3::text[]) AS k (repo, cid, path)
WHERE u.repo = k.repo AND u.cid = k.cid AND u.path = k.path COLLATE "C"
