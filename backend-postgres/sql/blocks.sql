-- One by one: of a large repo the planner, which knows of one of the usual size, would look through all for a few.
SELECT b.cid, b.bytes
FROM unnest($3::bytea[]) AS k (cid)
CROSS JOIN LATERAL (
    SELECT cid, bytes
    FROM blocks
    WHERE repo = (SELECT CASE WHEN $2 THEN import ELSE repo END FROM accounts WHERE did = $1)
      AND cid = k.cid AND refs >= $4
    LIMIT 1
) AS b
