SELECT path, cid, mentions::text FROM records WHERE repo = $1
