-- The first schema. docs/postgres.md says what each table is for.
--
-- Text that must sort by its bytes has the collation "C". Binary CIDs are 36 bytes. Times are those of the stores' clocks.
-- There are no foreign keys between the tables that a commit touches: the planner has looked at what they would look at
-- again, and `verify` compares all of it.

CREATE TABLE store (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    id        bytea NOT NULL CHECK (octet_length(id) = 16),
    -- Who opened the store under another epoch may not write to it.
    epoch     bigint NOT NULL DEFAULT 1,
    writable  boolean NOT NULL DEFAULT true,
    -- Counts every transaction that changes anything: who wrote under the turn it knows has missed nothing.
    turn      bigint NOT NULL DEFAULT 0,
    pos       bigint NOT NULL DEFAULT 0,
    seq       bigint NOT NULL DEFAULT 0 CHECK (seq BETWEEN 0 AND 9007199254740991),
    at        timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    swept_at  timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    -- The past of every mutation up to this position is forgotten.
    swept_pos bigint NOT NULL DEFAULT 0,
    -- The change feed has every mutation after this position; null while nobody wants it.
    changes_after bigint
) WITH (fillfactor = 10);

CREATE TABLE accounts (
    did       text COLLATE "C" PRIMARY KEY,
    id        bigint NOT NULL UNIQUE,
    handle    text COLLATE "C",
    email     text COLLATE "C",
    email_confirmed_at timestamptz,
    password_hash text,
    status    text NOT NULL CHECK (status IN
        ('active', 'takendown', 'suspended', 'deactivated', 'desynchronized', 'throttled')),
    created_at timestamptz NOT NULL,
    repo      bigint,
    import    bigint,
    -- At the end of the transaction: a handle may pass from one account to another within it.
    CONSTRAINT accounts_handle UNIQUE (handle) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT accounts_email UNIQUE (email) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE repos (
    id        bigint PRIMARY KEY,
    did       text COLLATE "C" NOT NULL,
    head_cid  bytea,
    head_rev  text COLLATE "C",
    data      bytea,
    records   bigint NOT NULL CHECK (records >= 0),
    refs      bigint NOT NULL CHECK (refs >= 0),
    bytes     bigint NOT NULL CHECK (bytes >= 0),
    CHECK ((head_cid IS NULL) = (head_rev IS NULL) AND (head_cid IS NULL) = (data IS NULL))
) WITH (fillfactor = 60);

CREATE TABLE blocks (
    repo      bigint NOT NULL,
    cid       bytea NOT NULL CHECK (octet_length(cid) = 36),
    refs      bigint NOT NULL CHECK (refs >= 0),
    -- The last mutation that took a reference away; 0 if none did.
    released  bigint NOT NULL,
    bytes     bytea NOT NULL,
    PRIMARY KEY (repo, cid)
) WITH (fillfactor = 70, toast_tuple_target = 128);
-- Out of line and as they are: counting references then moves no bytes, and blocks hardly compress.
ALTER TABLE blocks ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE records (
    repo      bigint NOT NULL,
    path      text COLLATE "C" NOT NULL,
    cid       bytea NOT NULL CHECK (octet_length(cid) = 36),
    pos       bigint NOT NULL,
    -- {"blobs": [cid, ...], "links": [[field, target], ...]}, or null if the record has neither.
    mentions  jsonb,
    PRIMARY KEY (repo, path)
);

CREATE TABLE commits (
    repo      bigint NOT NULL,
    rev       text COLLATE "C" NOT NULL,
    cid       bytea NOT NULL CHECK (octet_length(cid) = 36),
    data      bytea NOT NULL CHECK (octet_length(data) = 36),
    pos       bigint NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (repo, rev)
);

CREATE TABLE blobs (
    account   bigint NOT NULL,
    cid       bytea NOT NULL CHECK (octet_length(cid) = 36),
    mime      text NOT NULL,
    bytes     bigint NOT NULL CHECK (bytes >= 0),
    at        timestamptz NOT NULL,
    PRIMARY KEY (account, cid)
);

CREATE TABLE blob_uses (
    repo      bigint NOT NULL,
    cid       bytea NOT NULL,
    path      text COLLATE "C" NOT NULL,
    PRIMARY KEY (repo, cid, path)
);

CREATE TABLE links (
    repo      bigint NOT NULL,
    -- SHA-256 of field, zero byte, target: a target can be longer than an index entry may be.
    link      bytea NOT NULL CHECK (octet_length(link) = 32),
    path      text COLLATE "C" NOT NULL,
    field     text NOT NULL,
    target    text NOT NULL,
    PRIMARY KEY (repo, link, path)
);

-- The long tail of a server's tables. docs/postgres.md has the kinds.
CREATE TABLE rows (
    kind      smallint NOT NULL,
    key       bytea NOT NULL,
    -- The account that the row goes away with.
    owner     bigint REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    unique_0  bytea,
    unique_1  bytea,
    unique_2  bytea,
    unique_3  bytea,
    lookup_0  bytea,
    lookup_1  bytea,
    lookup_2  bytea,
    lookup_3  bytea,
    expires_at timestamptz,
    body      bytea NOT NULL,
    -- The body once more if it is a JSON object or array, for queries by hand.
    json      jsonb,
    PRIMARY KEY (kind, key),
    -- At the end of the transaction: a value may pass from one row to another within it.
    CONSTRAINT rows_unique_0 UNIQUE (kind, unique_0) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT rows_unique_1 UNIQUE (kind, unique_1) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT rows_unique_2 UNIQUE (kind, unique_2) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT rows_unique_3 UNIQUE (kind, unique_3) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX rows_lookup_0 ON rows (kind, lookup_0, key) WHERE lookup_0 IS NOT NULL;
CREATE INDEX rows_lookup_1 ON rows (kind, lookup_1, key) WHERE lookup_1 IS NOT NULL;
CREATE INDEX rows_lookup_2 ON rows (kind, lookup_2, key) WHERE lookup_2 IS NOT NULL;
CREATE INDEX rows_lookup_3 ON rows (kind, lookup_3, key) WHERE lookup_3 IS NOT NULL;
CREATE INDEX rows_owner ON rows (owner, kind, key) WHERE owner IS NOT NULL;
CREATE INDEX rows_expiry ON rows (expires_at) WHERE expires_at IS NOT NULL;

-- The mutations of the history window: their receipts, and what is to be forgotten when the window has passed.
CREATE TABLE mutations (
    pos       bigint PRIMARY KEY,
    did       text COLLATE "C" NOT NULL,
    key       bytea NOT NULL CHECK (octet_length(key) = 16),
    digest    bigint NOT NULL,
    at        timestamptz NOT NULL,
    first_seq bigint NOT NULL,
    events    integer NOT NULL,
    taken     bytea,
    repo      bigint,
    -- CIDs of blocks that lost references, 36 bytes each.
    released  bytea,
    -- The rev of the commit that was the head before.
    replaced  text COLLATE "C",
    UNIQUE (did, key)
);

-- What became invisible and is deleted step by step: 1 a generation of a repo, 2 the blobs of an account, 3 a purge.
CREATE TABLE sweeps (
    kind      smallint NOT NULL CHECK (kind IN (1, 2, 3)),
    id        bigint NOT NULL,
    pos       bigint NOT NULL,
    since     timestamptz NOT NULL,
    -- How far the blocks of a purge were looked at.
    after     bytea NOT NULL DEFAULT '',
    PRIMARY KEY (kind, id, pos)
);

CREATE TABLE events (
    seq       bigint PRIMARY KEY,
    at        timestamptz NOT NULL,
    frame     bytea NOT NULL
);
ALTER TABLE events ALTER COLUMN frame SET STORAGE EXTERNAL;

-- Who reads the change feed, and how far each has come.
CREATE TABLE slots (
    name      text COLLATE "C" PRIMARY KEY,
    pos       bigint NOT NULL,
    created_at timestamptz NOT NULL
);

-- The change feed: mutations as they were given, kept while a slot has still to read them.
CREATE TABLE changes (
    pos       bigint PRIMARY KEY,
    at        timestamptz NOT NULL,
    first_seq bigint NOT NULL,
    body      bytea NOT NULL
);
ALTER TABLE changes ALTER COLUMN body SET STORAGE EXTERNAL;
