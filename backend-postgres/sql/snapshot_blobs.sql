SELECT account, cid, mime, bytes, at FROM blobs ORDER BY account, cid
