SELECT r.id, c.rev, c.cid, c.data, c.pos, c.at, r.records, r.refs, r.bytes
FROM accounts AS a
JOIN repos AS r ON r.id = a.repo
CROSS JOIN LATERAL (
    SELECT rev, cid, data, pos, at FROM commits WHERE repo = r.id AND at <= $2 ORDER BY rev DESC LIMIT 1
) AS c
WHERE a.did = $1
