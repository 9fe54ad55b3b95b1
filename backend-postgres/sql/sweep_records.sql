-- How many went, and what their mentions took.
WITH gone AS (
    DELETE FROM records
    WHERE (repo, path) IN (
        SELECT repo, path
        FROM (
            SELECT repo, path, sum(own) OVER (ORDER BY path) - own AS before
            FROM (
                SELECT repo, path, coalesce(pg_column_size(mentions), 0) AS own
                FROM records WHERE repo = $1 ORDER BY path LIMIT $2
            ) AS next
        ) AS counted
        WHERE before < $3
    )
    RETURNING coalesce(pg_column_size(mentions), 0) AS own
)
SELECT count(*), coalesce(sum(own), 0)::bigint FROM gone
