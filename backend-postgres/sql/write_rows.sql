INSERT INTO rows (kind, key, owner, unique_0, unique_1, unique_2, unique_3, lookup_0, lookup_1, lookup_2, lookup_3,
                  expires_at, body, json)
SELECT n.kind, n.key, n.owner, n.u0, n.u1, n.u2, n.u3, n.l0, n.l1, n.l2, n.l3, n.expires_at, n.body, n.json::jsonb
FROM unnest($1::smallint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[],
            $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::timestamptz[], $13::bytea[], $14::text[])
    AS n (kind, key, owner, u0, u1, u2, u3, l0, l1, l2, l3, expires_at, body, json)
ON CONFLICT (kind, key) DO UPDATE
SET owner = excluded.owner,
    unique_0 = excluded.unique_0, unique_1 = excluded.unique_1, unique_2 = excluded.unique_2, unique_3 = excluded.unique_3,
    lookup_0 = excluded.lookup_0, lookup_1 = excluded.lookup_1, lookup_2 = excluded.lookup_2, lookup_3 = excluded.lookup_3,
    expires_at = excluded.expires_at, body = excluded.body, json = excluded.json
