-- A commit is past when the next one was made.
DELETE FROM commits
WHERE (repo, rev) IN (
    SELECT repo, rev FROM commits
    WHERE repo = $1 AND rev < (SELECT max(rev) FROM commits WHERE repo = $1 AND pos <= $2)
    ORDER BY rev LIMIT $3
)
