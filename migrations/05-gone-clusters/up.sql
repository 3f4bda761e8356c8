-- The history of redkeep, version 5: since when a pair's cluster is gone, which may be long after the pair was closed.

-- When a complete listing first lacked the cluster; NULL while it is there.
ALTER TABLE pairs ADD COLUMN cluster_gone_at TEXT;
