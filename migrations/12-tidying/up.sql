-- The history of redkeep, version 12: what leaves it with time is found without reading all of it.

-- The snapshots that are gone and of which AWS's description still stands here.
CREATE INDEX runs_described ON runs (gone_at) WHERE gone_at IS NOT NULL AND snapshot IS NOT NULL;

-- Removals in their order; a start reads those that are open, and those after which the snapshot was kept.
CREATE INDEX removals_by_instant ON removals (planned_at);
CREATE INDEX removals_kept ON removals (planned_at) WHERE result = 'kept';
