INSERT INTO links (repo, link, path, field, target)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[])
ON CONFLICT DO NOTHING
