SELECT b.cid, b.mime, b.bytes, b.at
FROM blobs AS b
WHERE b.account = (SELECT id FROM accounts WHERE did = $1) AND b.at < $2
  AND NOT EXISTS (
      SELECT FROM blob_uses AS u WHERE u.repo = (SELECT repo FROM accounts WHERE did = $1) AND u.cid = b.cid
  )
  AND NOT EXISTS (
      SELECT FROM blob_uses AS u WHERE u.repo = (SELECT import FROM accounts WHERE did = $1) AND u.cid = b.cid
  )
ORDER BY b.cid LIMIT $3
