-- The history of redkeep, version 6: what is done to snapshots that are there.

-- Each intent to remove a snapshot, written before AWS is asked, and what came of it. Rows are never removed.
CREATE TABLE removals (
    -- The slot whose snapshot it is.
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    cluster      TEXT NOT NULL,
    scheduled_at TEXT NOT NULL,
    snapshot_id  TEXT NOT NULL, -- of a slot with two it may be the one that failed
    reason       TEXT NOT NULL, -- surplus, failed
    planned_at   TEXT NOT NULL,
    ended_at     TEXT,          -- NULL while it is under way
    result       TEXT,          -- removed, kept; NULL with ended_at
    message      TEXT,          -- for people; NULL with ended_at
    PRIMARY KEY (account, region, snapshot_id, planned_at),
    CHECK ((ended_at IS NULL) = (result IS NULL)),
    CHECK ((ended_at IS NULL) = (message IS NULL))
) STRICT;

CREATE INDEX removals_open ON removals (planned_at) WHERE ended_at IS NULL;
-- The last ones are read at every start: a listing may lag behind.
CREATE INDEX removals_done ON removals (ended_at) WHERE result = 'removed';

-- The newest pass over each policy's snapshots.
CREATE TABLE prune_passes (
    policy    TEXT NOT NULL PRIMARY KEY,
    rules     TEXT NOT NULL, -- a fingerprint of the rules; under others the next pass only says what it would do
    passed_at TEXT NOT NULL,
    result    TEXT NOT NULL, -- carried_out, first_pass, breaker
    plan_hash TEXT NOT NULL,
    plan      TEXT NOT NULL  -- a JSON array: everything that it would remove, the oldest first
) STRICT;

-- People's word that a plan is right. Rows are never removed; the newest of a policy counts.
CREATE TABLE confirmations (
    id           INTEGER PRIMARY KEY,
    policy       TEXT NOT NULL,
    rules        TEXT NOT NULL, -- the fingerprint of the rules that the plan was made by
    plan_hash    TEXT NOT NULL,
    plan         TEXT NOT NULL, -- as in prune_passes
    confirmed_at TEXT NOT NULL,
    begun_at     TEXT,          -- the first pass that was made with it; NULL before
    void_at      TEXT           -- when a pass by other rules came, or the history was lost; NULL while it holds
) STRICT;

-- What people want done to single snapshots, and what came of it.
CREATE TABLE errands (
    id           INTEGER PRIMARY KEY,
    wanted       TEXT NOT NULL, -- hold, release, takeover
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    cluster      TEXT NOT NULL,
    scheduled_at TEXT NOT NULL,
    snapshot_id  TEXT NOT NULL,
    asked_at     TEXT NOT NULL,
    ended_at     TEXT,          -- NULL while it is under way
    result       TEXT,          -- done, failed; NULL with ended_at
    message      TEXT,          -- for people; NULL with ended_at
    CHECK ((ended_at IS NULL) = (result IS NULL)),
    CHECK ((ended_at IS NULL) = (message IS NULL))
) STRICT;

CREATE INDEX errands_open ON errands (id) WHERE ended_at IS NULL;

-- Runs with a second snapshot, which are read at every start: the first, which failed, may still be there.
CREATE INDEX runs_second ON runs (scheduled_at) WHERE generation = 2;
