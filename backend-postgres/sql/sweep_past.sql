-- What mutations left behind, with as many bytes of CIDs as may be looked at now. CIDs that were looked at before are left
-- out: all of the mutations before $4, and so many bytes of that one.
SELECT pos, repo, coalesce(substring(released FROM looked + 1 FOR greatest($6 - bytes + own, 0)::integer), ''),
       looked::bigint, (looked + own)::bigint, replaced, taken
FROM (
    SELECT pos, repo, released, replaced, taken, at, looked, own, sum(own) OVER (ORDER BY pos) AS bytes
    FROM (
        SELECT pos, repo, released, replaced, taken, at, looked, coalesce(octet_length(released), 0) - looked AS own
        FROM (
            SELECT pos, repo, released, replaced, coalesce(octet_length(taken), 0)::bigint AS taken, at,
                   CASE WHEN pos < $4 THEN coalesce(octet_length(released), 0) WHEN pos = $4 THEN $5 ELSE 0 END::integer
                       AS looked
            FROM mutations WHERE pos > $1 ORDER BY pos LIMIT $2
        ) AS oldest
    ) AS counted
) AS summed
WHERE at <= $3 AND bytes - own < $6
ORDER BY pos
