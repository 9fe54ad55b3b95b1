SELECT r.kind, r.key, a.did, r.unique_0, r.unique_1, r.unique_2, r.unique_3, r.lookup_0, r.lookup_1, r.lookup_2, r.lookup_3,
       r.expires_at, ''::bytea
FROM accounts AS a
JOIN rows AS r ON r.owner = a.id
WHERE a.did = $1
ORDER BY r.kind, r.key
LIMIT $2
