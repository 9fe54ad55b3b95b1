DELETE FROM commits
WHERE (repo, rev) IN (SELECT repo, rev FROM commits WHERE repo = $1 ORDER BY rev LIMIT $2)
