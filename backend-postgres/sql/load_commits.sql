SELECT 0::bigint, m.did, m.key, m.taken, m.digest, m.pos, m.first_seq, m.events::bigint, m.at, NULL::text
FROM unnest($1::text[], $2::bytea[]) AS k (did, key)
JOIN mutations AS m ON m.did = k.did COLLATE "C" AND m.key = k.key
UNION ALL
SELECT 1, r.path, r.cid, NULL, r.repo, r.pos, NULL, NULL, NULL, r.mentions::text
FROM unnest($3::bigint[], $4::text[]) AS k (repo, path)
JOIN records AS r ON r.repo = k.repo AND r.path = k.path COLLATE "C"
UNION ALL
SELECT 2, NULL, b.cid, NULL, b.repo, b.refs, octet_length(b.bytes), NULL, NULL, NULL
FROM unnest($5::bigint[], $6::bytea[]) AS k (repo, cid)
JOIN blocks AS b ON b.repo = k.repo AND b.cid = k.cid
