SELECT cid, mime, bytes, at FROM blobs WHERE account = (SELECT id FROM accounts WHERE did = $1) AND cid = $2
