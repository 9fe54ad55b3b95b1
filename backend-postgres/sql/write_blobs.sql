INSERT INTO blobs (account, cid, mime, bytes, at)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::timestamptz[])
ON CONFLICT (account, cid) DO UPDATE SET mime = excluded.mime, bytes = excluded.bytes, at = excluded.at
