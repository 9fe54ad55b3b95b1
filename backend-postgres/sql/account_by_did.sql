SELECT did, id, handle, email, email_confirmed_at, password_hash, status, created_at, repo, import
FROM accounts WHERE did = $1
