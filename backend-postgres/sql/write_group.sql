-- A group of mutations: what nearly every one of them changes, in one statement. It takes effect if the store stands where
-- the group was planned, or not at all: `turn` is empty then, and everything else hangs on it. A server that took over from
-- another and lost its last turns may have come to the same turn by another way, so more than the turn is compared. The row
-- of `store` stays locked until the commit, so numbers become visible in their order.
WITH turn AS (
    UPDATE store SET turn = turn + 1, pos = $2, seq = $3, at = $4
    WHERE turn = $1 AND epoch = $5 AND writable AND pos = $51 AND seq = $52 AND at = $53 AND id = $54
    RETURNING turn
), new_blocks AS (
    INSERT INTO blocks AS b (repo, cid, refs, released, bytes)
    SELECT n.repo, n.cid, n.refs, n.released, n.bytes
    FROM unnest($6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[], $10::bytea[]) AS n (repo, cid, refs, released, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, cid) DO UPDATE
    SET refs = b.refs + excluded.refs, released = greatest(b.released, excluded.released)
), old_blocks AS (
    UPDATE blocks AS b SET refs = b.refs + c.delta, released = greatest(b.released, c.released)
    FROM unnest($11::bigint[], $12::bytea[], $13::bigint[], $14::bigint[]) AS c (repo, cid, delta, released)
    WHERE b.repo = c.repo AND b.cid = c.cid AND EXISTS (SELECT FROM turn)
), new_records AS (
    INSERT INTO records (repo, path, cid, pos, mentions)
    SELECT n.repo, n.path, n.cid, n.pos, n.mentions::jsonb
    FROM unnest($15::bigint[], $16::text[], $17::bytea[], $18::bigint[], $19::text[]) AS n (repo, path, cid, pos, mentions)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (repo, path) DO UPDATE SET cid = excluded.cid, pos = excluded.pos, mentions = excluded.mentions
), new_commits AS (
    INSERT INTO commits (repo, rev, cid, data, pos, at)
    SELECT n.repo, n.rev, n.cid, n.data, n.pos, n.at
    FROM unnest($20::bigint[], $21::text[], $22::bytea[], $23::bytea[], $24::bigint[], $25::timestamptz[])
        AS n (repo, rev, cid, data, pos, at)
    WHERE EXISTS (SELECT FROM turn)
), new_repos AS (
    INSERT INTO repos (id, did, head_cid, head_rev, data, records, refs, bytes)
    SELECT n.id, n.did, n.head_cid, n.head_rev, n.data, n.records, n.refs, n.bytes
    FROM unnest($26::bigint[], $27::text[], $28::bytea[], $29::text[], $30::bytea[], $31::bigint[], $32::bigint[], $33::bigint[])
        AS n (id, did, head_cid, head_rev, data, records, refs, bytes)
    WHERE EXISTS (SELECT FROM turn)
    ON CONFLICT (id) DO UPDATE
    SET head_cid = excluded.head_cid, head_rev = excluded.head_rev, data = excluded.data,
        records = excluded.records, refs = excluded.refs, bytes = excluded.bytes
), new_mutations AS (
    INSERT INTO mutations (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    SELECT n.pos, n.did, n.key, n.digest, n.at, n.first_seq, n.events, n.taken, n.repo, n.released, n.replaced
    FROM unnest($34::bigint[], $35::text[], $36::bytea[], $37::bigint[], $38::timestamptz[], $39::bigint[], $40::integer[],
                $41::bytea[], $42::bigint[], $43::bytea[], $44::text[])
        AS n (pos, did, key, digest, at, first_seq, events, taken, repo, released, replaced)
    WHERE EXISTS (SELECT FROM turn)
), new_events AS (
    INSERT INTO events (seq, at, frame)
    SELECT n.seq, n.at, n.frame
    FROM unnest($45::bigint[], $46::timestamptz[], $47::bytea[]) AS n (seq, at, frame)
    WHERE EXISTS (SELECT FROM turn)
)
SELECT turn, CASE WHEN $48 THEN pg_notify($49, $50) END FROM turn
