-- A group of mutations: what nearly every one of them changes, in one statement. It takes effect if the store stands where
-- the group was planned, or not at all: `turn` is empty then, and everything else hangs on it. A server that took over from
-- another and lost its last turns may have come to the same turn by another way, so more than the turn is compared. The row
-- of `store` stays locked until the commit, so numbers become visible in their order. Who has it locked takes this turn, or
-- waits for rows of a group that waits for this one: it is not waited for.
--
-- With $13 all is written whoever's turn it is: the transaction takes its turn at its end (take_turn.sql). With $14 the group was
-- planned as if none of its records, which are new, were there: if one is, the statement fails.
WITH mine AS (
    SELECT turn FROM store
    WHERE NOT $13 AND turn = $1 AND epoch = $5 AND writable AND pos = $6 AND seq = $7 AND at = $8 AND id = $9
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE store AS s SET turn = s.turn + 1, pos = $2, seq = $3, at = $4 FROM mine WHERE s.turn = $1 RETURNING s.turn
), turn AS (
    SELECT turn FROM taken UNION ALL SELECT 0 WHERE $13
), new_blocks AS (
    INSERT INTO blocks AS b (repo, cid, refs, released, bytes)
    SELECT n.repo, n.cid, n.refs, n.released, n.bytes
    FROM unnest($15::bigint[], $16::bytea[], $17::bigint[], $18::bigint[], $19::bytea[]) AS n (repo, cid, refs, released, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, cid) DO UPDATE
    SET refs = b.refs + excluded.refs, released = greatest(b.released, excluded.released)
), old_blocks AS (
    UPDATE blocks AS b SET refs = b.refs + c.delta, released = greatest(b.released, c.released)
    FROM unnest($20::bigint[], $21::bytea[], $22::bigint[], $23::bigint[]) AS c (repo, cid, delta, released)
    WHERE b.repo = c.repo AND b.cid = c.cid AND EXISTS (SELECT FROM turn)
), new_records AS (
    INSERT INTO records (repo, path, cid, pos, mentions)
    SELECT n.repo, n.path, n.cid, n.pos, n.mentions::jsonb
    FROM unnest($24::bigint[], $25::text[], $26::bytea[], $27::bigint[], $28::text[]) AS n (repo, path, cid, pos, mentions)
    WHERE $14 AND EXISTS (SELECT FROM turn)
), put_records AS (
    INSERT INTO records (repo, path, cid, pos, mentions)
    SELECT n.repo, n.path, n.cid, n.pos, n.mentions::jsonb
    FROM unnest($24::bigint[], $25::text[], $26::bytea[], $27::bigint[], $28::text[]) AS n (repo, path, cid, pos, mentions)
    WHERE NOT $14 AND EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, path) DO UPDATE SET cid = excluded.cid, pos = excluded.pos, mentions = excluded.mentions
), new_commits AS (
    INSERT INTO commits (repo, rev, cid, data, pos, at)
    SELECT n.repo, n.rev, n.cid, n.data, n.pos, n.at
    FROM unnest($29::bigint[], $30::text[], $31::bytea[], $32::bytea[], $33::bigint[], $34::timestamptz[])
        AS n (repo, rev, cid, data, pos, at)
    WHERE EXISTS (SELECT FROM turn)
), new_repos AS (
    INSERT INTO repos (id, did, head_cid, head_rev, data, records, refs, bytes)
    SELECT n.id, n.did, n.head_cid, n.head_rev, n.data, n.records, n.refs, n.bytes
    FROM unnest($35::bigint[], $36::text[], $37::bytea[], $38::text[], $39::bytea[], $40::bigint[], $41::bigint[], $42::bigint[])
        AS n (id, did, head_cid, head_rev, data, records, refs, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (id) DO UPDATE
    SET head_cid = excluded.head_cid, head_rev = excluded.head_rev, data = excluded.data,
        records = excluded.records, refs = excluded.refs, bytes = excluded.bytes
), new_mutations AS (
    INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    SELECT n.pos, n.did, n.key, n.digest, n.at, n.first_seq, n.events, n.taken, n.repo, n.released, n.replaced
    FROM unnest($43::bigint[], $44::text[], $45::bytea[], $46::bigint[], $47::timestamptz[], $48::bigint[], $49::integer[],
                $50::bytea[], $51::bigint[], $52::bytea[], $53::text[])
        AS n (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    WHERE EXISTS (SELECT FROM turn)
), new_events AS (
    INSERT INTO events (seq, at, frame)
    SELECT n.seq, n.at, n.frame
    FROM unnest($54::bigint[], $55::timestamptz[], $56::bytea[]) AS n (seq, at, frame)
    WHERE EXISTS (SELECT FROM turn)
)
SELECT turn, CASE WHEN $10 THEN pg_notify($11, $12) END FROM turn
