-- How many went, and which of those that were named was the last of them.
WITH due AS (
    SELECT b.repo, b.cid, k.n
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) WITH ORDINALITY AS k (repo, cid, pos, n)
    JOIN blocks AS b ON b.repo = k.repo AND b.cid = k.cid
    WHERE b.refs = 0 AND b.released = k.pos
    ORDER BY k.n
    LIMIT $4
), gone AS (
    DELETE FROM blocks WHERE (repo, cid) IN (SELECT repo, cid FROM due) RETURNING repo
)
SELECT (SELECT count(*) FROM gone), (SELECT coalesce(max(n), 0) FROM due)
