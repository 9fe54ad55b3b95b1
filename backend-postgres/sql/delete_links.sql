DELETE FROM links AS l USING unnest($1::bigint[], $2::bytea[], $3::text[]) AS k (repo, link, path)
WHERE l.repo = k.repo AND l.link = k.link AND l.path = k.path COLLATE "C"
