SELECT r.path, r.cid, b.bytes
FROM (
    SELECT repo, path, cid
    FROM records
    WHERE repo = (SELECT repo FROM accounts WHERE did = $1) AND path > $2 AND path < $3
    ORDER BY path LIMIT $4
) AS r
LEFT JOIN blocks AS b ON b.repo = r.repo AND b.cid = r.cid
ORDER BY r.path
