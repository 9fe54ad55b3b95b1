-- Each use asks for its blob: a join that the planner may turn around goes through all of a large account's for each.
SELECT DISTINCT ON (u.cid) u.cid, u.path
FROM blob_uses AS u
WHERE u.repo = (SELECT repo FROM accounts WHERE did = $1) AND u.cid > $2
  AND (SELECT b.cid FROM blobs AS b WHERE b.account = (SELECT id FROM accounts WHERE did = $1) AND b.cid = u.cid) IS NULL
ORDER BY u.cid, u.path LIMIT $3
