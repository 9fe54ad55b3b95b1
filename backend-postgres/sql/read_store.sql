SELECT turn, epoch, writable, pos, seq, at, swept_at, swept_pos, changes_after FROM store
