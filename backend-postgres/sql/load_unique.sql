SELECT r.kind, r.key, a.did, r.unique_0, r.unique_1, r.unique_2, r.unique_3, r.lookup_0, r.lookup_1, r.lookup_2, r.lookup_3,
       r.expires_at, ''::bytea
FROM unnest($1::smallint[], $2::bytea[]) AS k (kind, value)
JOIN rows AS r ON r.kind = k.kind AND r.unique_{n} = k.value
LEFT JOIN accounts AS a ON a.id = r.owner
