SELECT seq, (SELECT count(*) FROM events), (SELECT min(seq) FROM events), (SELECT max(seq) FROM events), oldest FROM store
