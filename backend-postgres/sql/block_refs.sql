-- One by one, as in blocks.sql.
SELECT b.cid, b.refs, b.bytes
FROM unnest($3::bytea[]) AS k (cid)
CROSS JOIN LATERAL (
    SELECT cid, refs, octet_length(bytes)::bigint AS bytes
    FROM blocks
    WHERE repo = (SELECT CASE WHEN $2 THEN import ELSE repo END FROM accounts WHERE did = $1)
      AND cid = k.cid AND refs >= $4
    LIMIT 1
) AS b
