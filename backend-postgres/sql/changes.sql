SELECT c.pos, c.at, c.first_seq, c.body, s.pos, s.changes_after, s.seq
FROM (SELECT pos, seq, changes_after FROM store ORDER BY turn DESC LIMIT 1) AS s
LEFT JOIN (
    SELECT pos, at, first_seq, body, sum(octet_length(body)) OVER (ORDER BY pos) AS bytes, octet_length(body) AS own
    FROM (SELECT pos, at, first_seq, body FROM changes WHERE pos > $1 ORDER BY pos LIMIT $2) AS next
) AS c ON c.bytes <= $3 OR c.bytes = c.own
ORDER BY c.pos
