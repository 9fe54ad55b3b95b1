-- The first, and those after it as long as their frames fit. Only those that fit are fetched.
SELECT s.seq, s.oldest, e.seq, e.at, e.frame
FROM (SELECT seq, oldest FROM store ORDER BY turn DESC LIMIT 1) AS s
LEFT JOIN (
    SELECT seq, at, frame, sum(octet_length(frame)) OVER (ORDER BY seq) AS bytes, octet_length(frame) AS own
    FROM (SELECT seq, at, frame FROM events WHERE seq > $1 ORDER BY seq LIMIT $2) AS next
) AS e ON e.bytes <= $3 OR e.bytes = e.own
ORDER BY e.seq
