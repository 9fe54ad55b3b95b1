SELECT seq, (SELECT min(seq) FROM events) FROM store
