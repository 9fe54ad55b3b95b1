SELECT a.did, a.id, a.handle, a.email, a.email_confirmed_at, a.password_hash, a.status, a.created_at, a.repo, a.import,
       r.head_cid, r.head_rev, r.data, r.records, r.refs, r.bytes
FROM accounts AS a
LEFT JOIN repos AS r ON r.id = a.repo
WHERE a.did = ANY ($1)
