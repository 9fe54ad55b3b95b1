DELETE FROM changes
WHERE pos <= (
    SELECT max(pos)
    FROM (
        SELECT pos, sum(own) OVER (ORDER BY pos) - own AS before
        FROM (
            SELECT pos, octet_length(body) AS own
            FROM changes
            WHERE pos <= (SELECT coalesce(changes_after, pos) FROM store ORDER BY turn DESC LIMIT 1)
            ORDER BY pos
            LIMIT $1
        ) AS oldest
    ) AS counted
    WHERE before < $2
)
