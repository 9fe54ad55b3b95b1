-- Each blob asks for one use: a join that the planner may turn around goes through all of a large account's for each.
SELECT b.cid, b.mime, b.bytes, b.at
FROM blobs AS b
WHERE b.account = (SELECT id FROM accounts WHERE did = $1) AND b.at < $2
  AND (
      SELECT u.cid FROM blob_uses AS u
      WHERE u.repo = (SELECT repo FROM accounts WHERE did = $1) AND u.cid = b.cid LIMIT 1
  ) IS NULL
  AND (
      SELECT u.cid FROM blob_uses AS u
      WHERE u.repo = (SELECT import FROM accounts WHERE did = $1) AND u.cid = b.cid LIMIT 1
  ) IS NULL
ORDER BY b.cid LIMIT $3
