SELECT did, key, taken, digest, pos, first_seq, events::bigint, at FROM mutations ORDER BY did, key
