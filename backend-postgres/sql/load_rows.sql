-- Of a body no more than the plans look at.
SELECT r.kind, r.key, a.did, r.unique_0, r.unique_1, r.unique_2, r.unique_3, r.lookup_0, r.lookup_1, r.lookup_2, r.lookup_3,
       r.expires_at, substring(r.body FOR k.bytes)
FROM unnest($1::smallint[], $2::bytea[], $3::integer[]) AS k (kind, key, bytes)
JOIN rows AS r ON r.kind = k.kind AND r.key = k.key
LEFT JOIN accounts AS a ON a.id = r.owner
