DELETE FROM records AS r USING unnest($1::bigint[], $2::text[]) AS k (repo, path)
WHERE r.repo = k.repo AND r.path = k.path COLLATE "C"
