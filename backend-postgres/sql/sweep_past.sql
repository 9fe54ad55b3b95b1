SELECT pos, repo, released, replaced
FROM (SELECT pos, repo, released, replaced, at FROM mutations WHERE pos > $1 ORDER BY pos LIMIT $2) AS oldest
WHERE at <= $3
ORDER BY pos
