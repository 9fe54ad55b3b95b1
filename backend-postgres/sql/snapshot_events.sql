SELECT seq, at, frame FROM events ORDER BY seq
