SELECT cid, path FROM blob_uses WHERE repo = $1
