SELECT kind::bigint, key, octet_length(body)::bigint FROM rows WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
