-- How many went, and their bytes.
WITH gone AS (
    DELETE FROM blocks
    WHERE (repo, cid) IN (
        SELECT repo, cid
        FROM (
            SELECT repo, cid, sum(own) OVER (ORDER BY cid) - own AS before
            FROM (
                SELECT repo, cid, octet_length(bytes) AS own FROM blocks WHERE repo = $1 ORDER BY cid LIMIT $2
            ) AS next
        ) AS counted
        WHERE before < $3
    )
    RETURNING octet_length(bytes) AS own
)
SELECT count(*), coalesce(sum(own), 0)::bigint FROM gone
