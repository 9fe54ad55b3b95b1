-- While anybody holds an old snapshot (a dump, a check, a copy), the server keeps every version of every row since then. What
-- is looked for must be found past them: the newest version of `store` by its turn, the oldest event by its number, what is
-- due by its time.

ALTER TABLE store ADD COLUMN oldest bigint NOT NULL DEFAULT 1;
-- Programs of the version before, which know nothing of that number, are shut out as by the write fence.
UPDATE store SET oldest = coalesce((SELECT min(seq) FROM events), seq + 1), epoch = epoch + 1;
-- Its one row is there from now on, and who would make it once more names no oldest event. A unique index over a value that
-- is always the same has all versions under one key; without one a publication needs the whole row.
INSERT INTO store (id, oldest) SELECT uuid_send(gen_random_uuid()), 1 WHERE NOT EXISTS (SELECT FROM store);
ALTER TABLE store ALTER COLUMN oldest DROP DEFAULT;
ALTER TABLE store DROP COLUMN one;
ALTER TABLE store REPLICA IDENTITY FULL;
CREATE INDEX store_turn ON store (turn);

CREATE INDEX sweeps_since ON sweeps (since);
