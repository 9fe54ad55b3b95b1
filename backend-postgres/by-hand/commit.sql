\set repo random(0, 1999)
\set n random(1, 9000000000000000)
BEGIN;
UPDATE repo SET rev = rev + 1, head = sha256(int8send((:n)::bigint)) WHERE id = :repo RETURNING rev \gset
DELETE FROM block WHERE repo = :repo AND rev = :rev - 1;
INSERT INTO block VALUES (:repo, sha256(int8send((:n)::bigint + 1)), :rev, :record), (:repo, sha256(int8send((:n)::bigint + 2)), :rev, :node_1), (:repo, sha256(int8send((:n)::bigint + 3)), :rev, :node_2), (:repo, sha256(int8send((:n)::bigint + 4)), :rev, :node_3), (:repo, sha256(int8send((:n)::bigint + 5)), :rev, :signed);
INSERT INTO record VALUES (:repo, 'app.bsky.feed.post/' || (:n)::bigint, sha256(int8send((:n)::bigint + 1)), :rev);
INSERT INTO event (repo, frame) VALUES (:repo, :frame);
COMMIT;
