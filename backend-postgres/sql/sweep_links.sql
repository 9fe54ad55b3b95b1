DELETE FROM links
WHERE (repo, link, path) IN (SELECT repo, link, path FROM links WHERE repo = $1 ORDER BY link, path LIMIT $2)
