-- The history of redkeep, version 1. docs/database.md explains it for people.
--
-- Instants are RFC 3339 texts in UTC with whole seconds ('2026-11-24T01:30:00Z'): they sort as texts,
-- SQLite's date functions read them, and so do people. Anything finer is dropped, except where a column
-- says otherwise.

-- 'redk' in ASCII. It tells this file from other programs' databases.
PRAGMA application_id = 0x7265646b;

-- Facts about the file itself: installation, created_at, endpoint_kind.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A policy applied to one cluster, from its first activation on. Rows are never removed.
CREATE TABLE pairs (
    policy             TEXT NOT NULL,
    account            TEXT NOT NULL, -- the name in the policy file, not the number
    region             TEXT NOT NULL,
    cluster            TEXT NOT NULL,
    active_from        TEXT NOT NULL, -- slots up to and including this are not the pair's; never moves back
    watermark          TEXT NOT NULL, -- every slot up to and including this has its record; never moves back
    schedule           TEXT NOT NULL, -- the expression under which the pair was activated
    timezone           TEXT NOT NULL, -- and its time zone
    cluster_created_at TEXT,          -- ClusterCreateTime to AWS's last digit, as it is compared for equality;
                                      -- NULL until the cluster has been seen
    closed_at          TEXT,          -- NULL while the pair is active
    PRIMARY KEY (policy, account, region, cluster)
) STRICT;

-- One row a slot: what was asked for, and what became of it.
CREATE TABLE runs (
    -- The slot.
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    cluster      TEXT NOT NULL,
    scheduled_at TEXT NOT NULL,       -- nominal, before jitter
    "trigger"    TEXT NOT NULL,       -- schedule, manual

    -- The outcome.
    state        TEXT NOT NULL,       -- due, requested, creating; ended: available, failed, missed, skipped,
                                      -- expired, conflict
    reason       TEXT,                -- NULL while the run is open, and where it ended as available
    message      TEXT,                -- the last refusal in AWS's words; NULL where there was none
    attempts     INTEGER NOT NULL,    -- create calls, both generations together

    -- The request, fixed before the first call.
    snapshot_id               TEXT    NOT NULL,
    -- 2: the snapshot of the first identifier failed.
    generation INTEGER GENERATED ALWAYS AS (CASE WHEN substr(snapshot_id, -3) = '-r1' THEN 2 ELSE 1 END),
    tier                      TEXT    NOT NULL,
    retention_days            INTEGER NOT NULL, -- -1: for ever
    tags                      TEXT    NOT NULL, -- a JSON object, all tags
    starts_at                 TEXT    NOT NULL, -- AWS may be asked from here …
    deadline_at               TEXT    NOT NULL, -- … until here
    completion_window_seconds INTEGER NOT NULL,
    interval_seconds          INTEGER NOT NULL, -- from this slot to the next

    -- Its way.
    requested_at TEXT,                -- the first create call; NULL where none was made
    asked_at     TEXT,                -- the last create call; NULL where none was made
    accepted_at  TEXT,                -- when AWS was first known to have the snapshot; NULL where it never had it
    ended_at     TEXT,                -- NULL while the run is open
    -- NULL where the run did not end as available.
    available_at TEXT GENERATED ALWAYS AS (CASE WHEN state = 'available' THEN ended_at END),

    -- What became of the snapshot afterwards; not the run's outcome.
    gone_at      TEXT,                -- first seen to be missing; NULL while it is there, or never was
    gone_reason  TEXT,                -- expired, deleted; NULL with gone_at
    size_bytes   INTEGER,             -- TotalBackupSizeInMegaBytes * 2^20; NULL until AWS has told it
    snapshot     TEXT,                -- JSON, AWS's description as last seen; NULL where it was never seen

    progress     TEXT,                -- JSON, redkeep's own position in an open run; NULL once ended

    PRIMARY KEY (policy, account, region, cluster, scheduled_at),
    CHECK ((progress IS NULL)
        = (state IN ('available', 'failed', 'missed', 'skipped', 'expired', 'conflict'))),
    CHECK ((reason IS NULL) = (progress IS NOT NULL OR state = 'available')),
    CHECK ((gone_at IS NULL) = (gone_reason IS NULL))
) STRICT;

-- In the order in which runs are shown.
CREATE INDEX runs_by_instant  ON runs (scheduled_at, policy, account, region, cluster);
CREATE INDEX runs_by_snapshot ON runs (snapshot_id);
-- What is read at every start: the open runs, the snapshots that are there, the totals.
CREATE INDEX runs_open   ON runs (scheduled_at) WHERE progress IS NOT NULL;
CREATE INDEX runs_good   ON runs (scheduled_at) WHERE state = 'available' AND gone_at IS NULL;
CREATE INDEX runs_totals ON runs (policy, account, region, cluster, state);

-- An ended run stays as it is, whoever writes. What became of its snapshot is not the run's outcome.
CREATE TRIGGER runs_ended_stay
BEFORE UPDATE OF
    policy, account, region, cluster, scheduled_at, "trigger", state, reason, message, attempts,
    snapshot_id, tier, retention_days, tags, starts_at, deadline_at, completion_window_seconds,
    interval_seconds, requested_at, asked_at, accepted_at, ended_at, progress
ON runs WHEN OLD.progress IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an ended run stays as it is');
END;

-- More than a hundred slots missed in a row, as one row, so that a long absence is recorded at once.
CREATE TABLE missed_ranges (
    policy   TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    region   TEXT    NOT NULL,
    cluster  TEXT    NOT NULL,
    first_at TEXT    NOT NULL, -- the first slot's instant
    last_at  TEXT    NOT NULL, -- the last slot's instant
    count    INTEGER NOT NULL, -- how many slots
    reason   TEXT    NOT NULL, -- as in runs
    PRIMARY KEY (policy, account, region, cluster, first_at)
) STRICT;
