-- What is due, the oldest first; then purges, which are due at once.
(SELECT kind::bigint, id, pos, after FROM sweeps WHERE since <= $1 ORDER BY since LIMIT 1)
UNION ALL
(SELECT kind::bigint, id, pos, after FROM sweeps WHERE sweeps.kind = 3 ORDER BY sweeps.kind, id, pos LIMIT 1)
LIMIT 1
