SELECT a.did, r.head_cid, r.head_rev, a.status
FROM accounts AS a
JOIN repos AS r ON r.id = a.repo
WHERE a.did > $1 AND r.head_cid IS NOT NULL
ORDER BY a.did LIMIT $2
