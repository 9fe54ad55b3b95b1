SELECT path
FROM blob_uses
WHERE repo = (SELECT repo FROM accounts WHERE did = $1) AND cid = $2
ORDER BY path LIMIT $3
