-- One by one, as in blocks.sql.
SELECT b.cid, b.bytes
FROM unnest($2::bytea[]) AS k (cid)
CROSS JOIN LATERAL (SELECT cid, bytes FROM blocks WHERE repo = $1 AND cid = k.cid AND refs > 0 LIMIT 1) AS b
