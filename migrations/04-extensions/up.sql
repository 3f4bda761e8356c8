-- The history of redkeep, version 4: what the guard did.

-- The end of a good snapshot that was put off, because no newer one had come. Rows are never changed.
CREATE TABLE extensions (
    -- The slot whose snapshot it is.
    policy       TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    region       TEXT    NOT NULL,
    cluster      TEXT    NOT NULL,
    scheduled_at TEXT    NOT NULL,
    extended_at  TEXT    NOT NULL,
    from_days    INTEGER NOT NULL, -- the period before, counted from SnapshotRetentionStartTime
    to_days      INTEGER NOT NULL, -- the period since; -1: for ever
    reason       TEXT    NOT NULL, -- for people
    PRIMARY KEY (policy, account, region, cluster, scheduled_at, extended_at)
) STRICT;
