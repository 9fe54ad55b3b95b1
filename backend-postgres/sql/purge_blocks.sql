-- How many went, and their bytes.
WITH gone AS (
    DELETE FROM blocks
    WHERE (repo, cid) IN (
        SELECT repo, cid
        FROM (
            SELECT repo, cid, sum(own) OVER (ORDER BY cid) - own AS before
            FROM (
                SELECT repo, cid, octet_length(bytes) AS own
                FROM blocks
                WHERE repo = $1 AND cid > $2 AND cid <= $3 AND refs = 0 AND released <= $4
                ORDER BY cid LIMIT $5
            ) AS next
        ) AS counted
        WHERE before < $6
    )
    RETURNING octet_length(bytes) AS own
)
SELECT count(*), coalesce(sum(own), 0)::bigint FROM gone
