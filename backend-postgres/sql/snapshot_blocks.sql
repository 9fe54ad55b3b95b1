SELECT repo, cid, refs, released, bytes FROM blocks ORDER BY repo, cid
