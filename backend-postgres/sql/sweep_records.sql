DELETE FROM records
WHERE (repo, path) IN (SELECT repo, path FROM records WHERE repo = $1 ORDER BY path LIMIT $2)
