SELECT seq, oldest FROM store ORDER BY turn DESC LIMIT 1
