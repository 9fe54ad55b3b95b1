SELECT (SELECT count(to_regclass(name)) FROM unnest($1::text[]) AS t (name)), num_nonnulls(to_regclass('migrations'))::bigint
