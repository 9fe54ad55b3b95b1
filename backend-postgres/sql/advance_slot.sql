UPDATE slots
SET pos = greatest(pos, least($2, (SELECT pos FROM store ORDER BY turn DESC LIMIT 1)))
WHERE name = $1
