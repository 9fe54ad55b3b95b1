SELECT rev, cid, data, pos, at FROM commits WHERE repo = $1 ORDER BY rev
