SELECT s.pos, s.seq, (SELECT count(*) FROM accounts), count(r.id),
       coalesce(sum(r.records), 0)::bigint, coalesce(sum(r.refs), 0)::bigint, coalesce(sum(r.bytes), 0)::bigint
FROM store AS s
LEFT JOIN (accounts AS a JOIN repos AS r ON r.id = a.repo) ON true
GROUP BY s.pos, s.seq
