SELECT b.account, b.cid, b.mime, b.bytes, b.at
FROM unnest($1::bigint[], $2::bytea[]) AS k (account, cid)
JOIN blobs AS b ON b.account = k.account AND b.cid = k.cid
