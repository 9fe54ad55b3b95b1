SELECT path
FROM links
WHERE repo = (SELECT repo FROM accounts WHERE did = $1) AND link = $2 AND path > $3 AND path < $4
ORDER BY path LIMIT $5
