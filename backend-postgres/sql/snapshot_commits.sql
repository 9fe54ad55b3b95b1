SELECT repo, rev, cid, data, pos, at FROM commits ORDER BY repo, rev
