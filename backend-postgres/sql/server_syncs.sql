-- The view is there from Postgres 14 on, and has no such column any more from 18 on.
SELECT (to_jsonb(w) ->> 'wal_sync')::bigint FROM pg_stat_wal AS w
