-- From the first path of a collection straight to what comes behind its last: `0` follows `/`.
WITH RECURSIVE found (name) AS (
    (
        SELECT split_part(path, '/', 1)
        FROM records
        WHERE repo = (SELECT repo FROM accounts WHERE did = $1)
        ORDER BY path LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT split_part(r.path, '/', 1)
        FROM records AS r
        WHERE r.repo = (SELECT repo FROM accounts WHERE did = $1) AND r.path > found.name || '0'
        ORDER BY r.path LIMIT 1
    )
    FROM found
    WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL ORDER BY name COLLATE "C"
