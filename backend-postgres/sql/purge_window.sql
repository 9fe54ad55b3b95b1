SELECT cid
FROM (SELECT cid FROM blocks WHERE repo = $1 AND cid > $2 ORDER BY cid LIMIT $3) AS next
ORDER BY cid DESC LIMIT 1
