SELECT rev, cid, data, pos, at
FROM commits
WHERE repo = (SELECT repo FROM accounts WHERE did = $1) AND rev < $2
ORDER BY rev DESC LIMIT $3
