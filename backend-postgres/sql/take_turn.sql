-- The turn of a group whose rows are all written, as in write_group.sql.
WITH mine AS (
    SELECT turn FROM store
    WHERE turn = $1 AND epoch = $5 AND writable AND pos = $6 AND seq = $7 AND at = $8 AND id = $9
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE store AS s SET turn = s.turn + 1, pos = $2, seq = $3, at = $4 FROM mine WHERE s.turn = $1 RETURNING s.turn
)
SELECT turn, CASE WHEN $10 THEN pg_notify($11, $12) END FROM taken
