DELETE FROM blob_uses
WHERE (repo, cid, path) IN (SELECT repo, cid, path FROM blob_uses WHERE repo = $1 ORDER BY cid, path LIMIT $2)
