SELECT kind::bigint, id, pos, after FROM sweeps WHERE kind = 3 OR since <= $1 ORDER BY kind, id, pos LIMIT 1
