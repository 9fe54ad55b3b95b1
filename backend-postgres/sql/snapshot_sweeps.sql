SELECT kind::bigint, id, pos, since FROM sweeps ORDER BY kind, id, pos
