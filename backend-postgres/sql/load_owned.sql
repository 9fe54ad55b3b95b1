SELECT kind, key, $1::text, unique_0, unique_1, unique_2, unique_3, lookup_0, lookup_1, lookup_2, lookup_3, expires_at, ''::bytea
FROM rows
WHERE owner = (SELECT id FROM accounts WHERE did = $1)
ORDER BY kind, key
LIMIT $2
