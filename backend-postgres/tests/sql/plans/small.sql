INSERT INTO accounts (did, id, handle, email, status, created_at, repo)
SELECT 'did:plc:u' || n, n, 'u' || n || '.test', 'u' || n || '@example.com', 'active', now(), n FROM generate_series(1, 2000) AS n;

INSERT INTO repos (id, did, head_cid, head_rev, data, records, refs, bytes)
SELECT n, 'did:plc:u' || n, sha256(n::text::bytea), '3zzzzzzzzzzz2', sha256(n::text::bytea), 3, 5, 5
FROM generate_series(1, 2000) AS n;

INSERT INTO blocks (repo, cid, refs, released, bytes)
SELECT n % 2000 + 1, '\x01711220'::bytea || sha256(n::text::bytea), 1, 0, '\x00' FROM generate_series(1, 10000) AS n;

INSERT INTO records (repo, path, cid, pos)
SELECT n % 2000 + 1, 'app.bsky.feed.post/' || lpad(n::text, 7, '0'), '\x01711220'::bytea || sha256(n::text::bytea), n
FROM generate_series(1, 6000) AS n;

INSERT INTO commits (repo, rev, cid, data, pos, at)
SELECT n % 2000 + 1, '3' || translate(lpad(n::text, 11, '0'), '0123456789', '234567abcd') || '2', '\x01711220'::bytea || sha256(n::text::bytea),
       '\x01711220'::bytea || sha256(n::text::bytea), n, now()
FROM generate_series(1, 4000) AS n;

INSERT INTO blobs (account, cid, mime, bytes, at)
SELECT n % 2000 + 1, '\x01551220'::bytea || sha256(n::text::bytea), 'image/png', 1, now() FROM generate_series(1, 3000) AS n;

INSERT INTO blob_uses (repo, cid, path)
SELECT n % 2000 + 1, '\x01551220'::bytea || sha256(n::text::bytea), 'app.bsky.feed.post/' || n FROM generate_series(1, 3000) AS n;

INSERT INTO links (repo, link, path, field, target)
SELECT n % 2000 + 1, sha256((n % 1000)::text::bytea), 'app.bsky.feed.post/' || lpad(n::text, 7, '0'), 'subject', 'did:plc:x'
FROM generate_series(1, 4000) AS n;

INSERT INTO rows (kind, key, owner, unique_0, lookup_0, expires_at, body)
SELECT n % 17 + 1, int4send(n), n % 2000 + 1, int4send(n), int4send(n % 5000), now() + n * interval '1 second', '\x00'
FROM generate_series(1, 6000) AS n;

INSERT INTO mutations (pos, did, key, digest, at, first_seq, events)
SELECT n, 'did:plc:u' || n % 2000 + 1, decode(lpad(to_hex(n), 32, '0'), 'hex'), n, now(), n, 1 FROM generate_series(1, 6000) AS n;

INSERT INTO events (seq, at, frame) SELECT n, now(), '\x00' FROM generate_series(1, 6000) AS n;

ANALYZE
