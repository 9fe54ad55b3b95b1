SELECT kind::bigint, key FROM rows WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
