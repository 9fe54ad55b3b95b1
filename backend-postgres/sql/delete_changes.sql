DELETE FROM changes
WHERE pos <= (
    SELECT max(pos)
    FROM (
        SELECT pos
        FROM changes
        WHERE pos <= (SELECT coalesce(changes_after, pos) FROM store ORDER BY turn DESC LIMIT 1)
        ORDER BY pos
        LIMIT $1
    ) AS oldest
)
