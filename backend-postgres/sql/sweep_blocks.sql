DELETE FROM blocks
WHERE (repo, cid) IN (SELECT repo, cid FROM blocks WHERE repo = $1 ORDER BY cid LIMIT $2)
