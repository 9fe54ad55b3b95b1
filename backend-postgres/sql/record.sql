SELECT r.path, r.cid, b.bytes
FROM accounts AS a
JOIN records AS r ON r.repo = a.repo AND r.path = $2
LEFT JOIN blocks AS b ON b.repo = r.repo AND b.cid = r.cid
WHERE a.did = $1
