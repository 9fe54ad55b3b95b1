SELECT turn, epoch, writable, pos, seq, at, swept_at, swept_pos, changes_after, oldest, id
FROM store
ORDER BY turn DESC LIMIT 1
FOR UPDATE
