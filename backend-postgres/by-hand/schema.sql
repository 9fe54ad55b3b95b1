-- What somebody might write first: the baseline of the SQL engine. See `run`.
DROP TABLE IF EXISTS repo, block, record, event;
CREATE TABLE repo (id integer PRIMARY KEY, head bytea, rev bigint NOT NULL);
CREATE TABLE block (
    repo integer,
    cid  bytea,
    rev  bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (repo, cid)
);
CREATE INDEX block_by_rev ON block (repo, rev);
CREATE TABLE record (repo integer, path text, cid bytea NOT NULL, rev bigint NOT NULL, PRIMARY KEY (repo, path));
CREATE TABLE event (
    seq   bigserial PRIMARY KEY,
    repo  integer NOT NULL,
    at    timestamptz NOT NULL DEFAULT now(),
    frame bytea NOT NULL
);
ALTER TABLE block ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE event ALTER COLUMN frame SET STORAGE EXTERNAL;
INSERT INTO repo SELECT n, NULL, 0 FROM generate_series(0, 1999) AS n;
VACUUM ANALYZE;
