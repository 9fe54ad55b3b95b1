DELETE FROM blocks
WHERE (repo, cid) IN (
    SELECT repo, cid FROM blocks
    WHERE repo = $1 AND cid > $2 AND cid <= $3 AND refs = 0 AND released <= $4
    ORDER BY cid LIMIT $5
)
