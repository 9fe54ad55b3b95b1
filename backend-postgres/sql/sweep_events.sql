SELECT seq, bytes
FROM (
    SELECT seq, at, octet_length(frame)::bigint AS bytes FROM events WHERE seq >= $4 AND seq < $1 ORDER BY seq LIMIT $2
) AS oldest
WHERE at < $3
ORDER BY seq
