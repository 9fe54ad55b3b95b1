INSERT INTO sweeps (kind, id, pos, since) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
ON CONFLICT (kind, id, pos) DO UPDATE SET since = excluded.since, after = ''
