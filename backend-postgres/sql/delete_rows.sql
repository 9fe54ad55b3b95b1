DELETE FROM rows AS r USING unnest($1::smallint[], $2::bytea[]) AS k (kind, key)
WHERE r.kind = k.kind AND r.key = k.key
