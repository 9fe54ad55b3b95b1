SELECT id, did, head_cid, head_rev, data, records, refs, bytes FROM repos WHERE id = ANY ($1)
