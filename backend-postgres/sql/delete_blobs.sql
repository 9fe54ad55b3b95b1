DELETE FROM blobs AS b USING unnest($1::bigint[], $2::bytea[]) AS k (account, cid)
WHERE b.account = k.account AND b.cid = k.cid
