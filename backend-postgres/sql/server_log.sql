SELECT (pg_current_wal_lsn() - '0/0')::bigint, wal_sync FROM pg_stat_wal
