SELECT cid, bytes FROM blocks WHERE repo = $1 AND cid = ANY ($2) AND refs > 0
