SELECT cid, refs, octet_length(bytes)::bigint FROM blocks WHERE repo = $1
