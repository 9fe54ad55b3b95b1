INSERT INTO changes (pos, at, first_seq, body)
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bytea[])
