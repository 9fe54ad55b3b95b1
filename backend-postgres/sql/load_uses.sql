SELECT path FROM blob_uses WHERE repo = $1 AND cid = $2 ORDER BY path LIMIT $3
