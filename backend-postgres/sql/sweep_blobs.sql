DELETE FROM blobs
WHERE (account, cid) IN (SELECT account, cid FROM blobs WHERE account = $1 ORDER BY cid LIMIT $2)
