DELETE FROM commits AS c USING unnest($1::bigint[], $2::text[]) AS k (repo, rev)
WHERE c.repo = k.repo AND c.rev = k.rev
