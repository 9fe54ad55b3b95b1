SELECT r.id, c.rev, c.cid, c.data, c.pos, c.at, r.records, r.refs, r.bytes
FROM accounts AS a
JOIN repos AS r ON r.id = a.repo
JOIN commits AS c ON c.repo = r.id AND c.rev = $2
WHERE a.did = $1
