SELECT r.kind, r.key, a.did, r.unique_0, r.unique_1, r.unique_2, r.unique_3, r.lookup_0, r.lookup_1, r.lookup_2, r.lookup_3,
       r.expires_at, r.body
FROM rows AS r
LEFT JOIN accounts AS a ON a.id = r.owner
WHERE r.kind = $2 AND r.key > $3 AND r.key >= $4 AND r.key < $5
  AND (r.expires_at IS NULL OR r.expires_at > (SELECT greatest($1, at, swept_at) FROM store ORDER BY turn DESC LIMIT 1))
ORDER BY r.key LIMIT $6
