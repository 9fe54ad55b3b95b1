-- A group of mutations: what nearly every one of them changes, in one statement. It takes effect if the store stands where
-- the group was planned, or not at all: `turn` is empty then, and everything else hangs on it. A server that took over from
-- another and lost its last turns may have come to the same turn by another way, so more than the turn is compared. The row
-- of `store` stays locked until the commit, so numbers become visible in their order.
--
-- With $13 all is written whoever's turn it is: the transaction takes its turn at its end, by the same statement with nothing
-- else in it.
WITH taken AS (
    UPDATE store SET turn = turn + 1, pos = $2, seq = $3, at = $4
    WHERE NOT $13 AND turn = $1 AND epoch = $5 AND writable AND pos = $6 AND seq = $7 AND at = $8 AND id = $9
    RETURNING turn
), turn AS (
    SELECT turn FROM taken UNION ALL SELECT 0 WHERE $13
), new_blocks AS (
    INSERT INTO blocks AS b (repo, cid, refs, released, bytes)
    SELECT n.repo, n.cid, n.refs, n.released, n.bytes
    FROM unnest($14::bigint[], $15::bytea[], $16::bigint[], $17::bigint[], $18::bytea[]) AS n (repo, cid, refs, released, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, cid) DO UPDATE
    SET refs = b.refs + excluded.refs, released = greatest(b.released, excluded.released)
), old_blocks AS (
    UPDATE blocks AS b SET refs = b.refs + c.delta, released = greatest(b.released, c.released)
    FROM unnest($19::bigint[], $20::bytea[], $21::bigint[], $22::bigint[]) AS c (repo, cid, delta, released)
    WHERE b.repo = c.repo AND b.cid = c.cid AND EXISTS (SELECT FROM turn)
), new_records AS (
    INSERT INTO records (repo, path, cid, pos, mentions)
    SELECT n.repo, n.path, n.cid, n.pos, n.mentions::jsonb
    FROM unnest($23::bigint[], $24::text[], $25::bytea[], $26::bigint[], $27::text[]) AS n (repo, path, cid, pos, mentions)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, path) DO UPDATE SET cid = excluded.cid, pos = excluded.pos, mentions = excluded.mentions
), new_commits AS (
    INSERT INTO commits (repo, rev, cid, data, pos, at)
    SELECT n.repo, n.rev, n.cid, n.data, n.pos, n.at
    FROM unnest($28::bigint[], $29::text[], $30::bytea[], $31::bytea[], $32::bigint[], $33::timestamptz[])
        AS n (repo, rev, cid, data, pos, at)
    WHERE EXISTS (SELECT FROM turn)
), new_repos AS (
    INSERT INTO repos (id, did, head_cid, head_rev, data, records, refs, bytes)
    SELECT n.id, n.did, n.head_cid, n.head_rev, n.data, n.records, n.refs, n.bytes
    FROM unnest($34::bigint[], $35::text[], $36::bytea[], $37::text[], $38::bytea[], $39::bigint[], $40::bigint[], $41::bigint[])
        AS n (id, did, head_cid, head_rev, data, records, refs, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (id) DO UPDATE
    SET head_cid = excluded.head_cid, head_rev = excluded.head_rev, data = excluded.data,
        records = excluded.records, refs = excluded.refs, bytes = excluded.bytes
), new_mutations AS (
    INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    SELECT n.pos, n.did, n.key, n.digest, n.at, n.first_seq, n.events, n.taken, n.repo, n.released, n.replaced
    FROM unnest($42::bigint[], $43::text[], $44::bytea[], $45::bigint[], $46::timestamptz[], $47::bigint[], $48::integer[],
                $49::bytea[], $50::bigint[], $51::bytea[], $52::text[])
        AS n (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    WHERE EXISTS (SELECT FROM turn)
), new_events AS (
    INSERT INTO events (seq, at, frame)
    SELECT n.seq, n.at, n.frame
    FROM unnest($53::bigint[], $54::timestamptz[], $55::bytea[]) AS n (seq, at, frame)
    WHERE EXISTS (SELECT FROM turn)
)
SELECT turn, CASE WHEN $10 THEN pg_notify($11, $12) END FROM turn
