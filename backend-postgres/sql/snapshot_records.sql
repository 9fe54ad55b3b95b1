SELECT repo, path, cid, pos, mentions::text FROM records ORDER BY repo, path
