DELETE FROM blocks
WHERE (repo, cid) IN (
    SELECT b.repo, b.cid
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS k (repo, cid, pos)
    JOIN blocks AS b ON b.repo = k.repo AND b.cid = k.cid
    WHERE b.refs = 0 AND b.released = k.pos
    LIMIT $4
)
