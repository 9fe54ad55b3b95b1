SELECT DISTINCT ON (u.cid) u.cid, u.path
FROM blob_uses AS u
WHERE u.repo = (SELECT repo FROM accounts WHERE did = $1) AND u.cid > $2
  AND NOT EXISTS (
      SELECT FROM blobs AS b WHERE b.account = (SELECT id FROM accounts WHERE did = $1) AND b.cid = u.cid
  )
ORDER BY u.cid, u.path LIMIT $3
