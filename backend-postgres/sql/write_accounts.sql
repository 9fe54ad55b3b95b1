INSERT INTO accounts (did, id, handle, email, email_confirmed_at, password_hash, status, created_at, repo, import)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
                     $8::timestamptz[], $9::bigint[], $10::bigint[])
ON CONFLICT (did) DO UPDATE
SET id = excluded.id, handle = excluded.handle, email = excluded.email,
    email_confirmed_at = excluded.email_confirmed_at, password_hash = excluded.password_hash,
    status = excluded.status, created_at = excluded.created_at, repo = excluded.repo, import = excluded.import
