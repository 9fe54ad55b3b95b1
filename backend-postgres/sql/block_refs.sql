SELECT b.cid, b.refs, octet_length(b.bytes)::bigint
FROM blocks AS b
WHERE b.repo = (SELECT CASE WHEN $2 THEN import ELSE repo END FROM accounts WHERE did = $1)
  AND b.cid = ANY ($3) AND b.refs >= $4
