SELECT did, handle, email FROM accounts WHERE handle = ANY ($1)
UNION
SELECT did, handle, email FROM accounts WHERE email = ANY ($2)
