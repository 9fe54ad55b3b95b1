SELECT k.n, u.path
FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) WITH ORDINALITY AS k (repo, cid, most, n)
CROSS JOIN LATERAL (
    SELECT path FROM blob_uses WHERE repo = k.repo AND cid = k.cid ORDER BY path LIMIT k.most
) AS u
