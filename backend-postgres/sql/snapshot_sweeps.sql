SELECT s.kind::bigint, s.id, s.pos, s.since FROM sweeps AS s ORDER BY s.kind, s.id, s.pos
