INSERT INTO blob_uses (repo, cid, path) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[])
ON CONFLICT DO NOTHING
