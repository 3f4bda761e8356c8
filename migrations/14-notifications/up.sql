-- The history of redkeep, version 14: who was told what, and who is still to be told.

-- What each receiver knows of what goes on. A row goes when that is over; what does not apply to it is an empty text.
CREATE TABLE conditions (
    receiver     TEXT    NOT NULL, -- the name of a [[notify]] table
    cause        TEXT    NOT NULL,
    policy       TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    region       TEXT    NOT NULL,
    cluster      TEXT    NOT NULL,
    scheduled_at TEXT    NOT NULL,
    detail       TEXT    NOT NULL, -- what else tells it from others
    since        TEXT    NOT NULL,
    told_at      TEXT,             -- NULL while it is too young to be told
    told_times   INTEGER NOT NULL,
    count        INTEGER NOT NULL, -- how often it has happened
    content      TEXT    NOT NULL, -- JSON: what is said of it
    PRIMARY KEY (receiver, cause, policy, account, region, cluster, scheduled_at, detail)
) STRICT;

-- The messages, written with the change that causes them. Rows that have ended are kept for a week, a thousand of each
-- receiver at most; of those that wait, the newest thousand.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE, -- the same in every attempt to deliver it
    receiver   TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    state      TEXT    NOT NULL, -- started, begun, repeated, over
    severity   TEXT    NOT NULL,
    dedup_key  TEXT    NOT NULL, -- the same for all messages of one condition
    since      TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    due_at     TEXT    NOT NULL, -- not before this it is delivered
    run_id     TEXT,             -- of a ping
    count      INTEGER NOT NULL,
    content    TEXT    NOT NULL, -- JSON
    attempts   INTEGER NOT NULL,
    next_at    TEXT    NOT NULL, -- not before this it is tried
    trouble    TEXT,             -- why the last attempt failed
    ended_at   TEXT,             -- NULL while it waits
    result     TEXT,             -- delivered, summary, digest, outdated, refused; NULL with ended_at
    CHECK ((ended_at IS NULL) = (result IS NULL))
) STRICT;

CREATE INDEX outbox_waiting ON outbox (receiver, seq) WHERE ended_at IS NULL;
CREATE INDEX outbox_ended ON outbox (receiver, ended_at) WHERE ended_at IS NOT NULL;

-- How many messages were too many to keep, until a digest has told it.
CREATE TABLE outbox_dropped (
    receiver TEXT    NOT NULL,
    event    TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (receiver, event)
) STRICT;
