-- The history of redkeep, version 13: what the page asks of the days of a pair, without reading its runs.

-- The ended runs that brought no snapshot, which are few; everything that is asked of them stands here, `progress` only so
-- that nothing of the condition has to be looked up.
CREATE INDEX runs_lacking ON runs (policy, account, region, cluster, scheduled_at, state, reason, progress)
WHERE progress IS NULL AND state <> 'available';
