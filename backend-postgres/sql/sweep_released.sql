-- How many went, which of those that were named was the last of them, and their bytes.
WITH due AS (
    SELECT repo, cid, n
    FROM (
        SELECT repo, cid, n, sum(own) OVER (ORDER BY n) - own AS before
        FROM (
            SELECT b.repo, b.cid, k.n, octet_length(b.bytes) AS own
            FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) WITH ORDINALITY AS k (repo, cid, pos, n)
            JOIN blocks AS b ON b.repo = k.repo AND b.cid = k.cid
            WHERE b.refs = 0 AND b.released = k.pos
            ORDER BY k.n
            LIMIT $4
        ) AS next
    ) AS counted
    WHERE before < $5
), gone AS (
    DELETE FROM blocks WHERE (repo, cid) IN (SELECT repo, cid FROM due) RETURNING octet_length(bytes) AS own
)
SELECT (SELECT count(*) FROM gone), (SELECT coalesce(max(n), 0) FROM due),
       (SELECT coalesce(sum(own), 0)::bigint FROM gone)
