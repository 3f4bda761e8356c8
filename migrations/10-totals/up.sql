-- The history of redkeep, version 10: a start that does not count and read a million rows.

-- How many slots of a pair ended with each result, over all time. The triggers below keep it; nobody else writes it but
-- whoever takes old rows out of `runs` for good, which stay counted.
CREATE TABLE totals (
    policy  TEXT    NOT NULL,
    account TEXT    NOT NULL,
    region  TEXT    NOT NULL,
    cluster TEXT    NOT NULL,
    state   TEXT    NOT NULL, -- as in runs; ranges of missed slots count here too
    count   INTEGER NOT NULL,
    PRIMARY KEY (policy, account, region, cluster, state)
) STRICT;

INSERT INTO totals (policy, account, region, cluster, state, count)
SELECT policy, account, region, cluster, state, sum(count) FROM (
    SELECT policy, account, region, cluster, state, count(*) AS count FROM runs
    WHERE state NOT IN ('due', 'requested', 'creating')
    GROUP BY policy, account, region, cluster, state
    UNION ALL
    SELECT policy, account, region, cluster, 'missed', sum(count) FROM missed_ranges
    GROUP BY policy, account, region, cluster
)
GROUP BY policy, account, region, cluster, state;

CREATE TRIGGER runs_count_new AFTER INSERT ON runs WHEN NEW.progress IS NULL
BEGIN
    INSERT INTO totals (policy, account, region, cluster, state, count)
    VALUES (NEW.policy, NEW.account, NEW.region, NEW.cluster, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER runs_count_gone AFTER DELETE ON runs WHEN OLD.progress IS NULL
BEGIN
    UPDATE totals SET count = count - 1
    WHERE policy = OLD.policy AND account = OLD.account AND region = OLD.region AND cluster = OLD.cluster
        AND state = OLD.state;
END;

CREATE TRIGGER runs_count_before AFTER UPDATE OF policy, account, region, cluster, state, progress ON runs
WHEN OLD.progress IS NULL
BEGIN
    UPDATE totals SET count = count - 1
    WHERE policy = OLD.policy AND account = OLD.account AND region = OLD.region AND cluster = OLD.cluster
        AND state = OLD.state;
END;

CREATE TRIGGER runs_count_after AFTER UPDATE OF policy, account, region, cluster, state, progress ON runs
WHEN NEW.progress IS NULL
BEGIN
    INSERT INTO totals (policy, account, region, cluster, state, count)
    VALUES (NEW.policy, NEW.account, NEW.region, NEW.cluster, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER missed_ranges_count_new AFTER INSERT ON missed_ranges
BEGIN
    INSERT INTO totals (policy, account, region, cluster, state, count)
    VALUES (NEW.policy, NEW.account, NEW.region, NEW.cluster, 'missed', NEW.count)
    ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;

CREATE TRIGGER missed_ranges_count_gone AFTER DELETE ON missed_ranges
BEGIN
    UPDATE totals SET count = count - OLD.count
    WHERE policy = OLD.policy AND account = OLD.account AND region = OLD.region AND cluster = OLD.cluster
        AND state = 'missed';
END;

CREATE TRIGGER missed_ranges_count_change AFTER UPDATE ON missed_ranges
BEGIN
    UPDATE totals SET count = count - OLD.count
    WHERE policy = OLD.policy AND account = OLD.account AND region = OLD.region AND cluster = OLD.cluster
        AND state = 'missed';
    INSERT INTO totals (policy, account, region, cluster, state, count)
    VALUES (NEW.policy, NEW.account, NEW.region, NEW.cluster, 'missed', NEW.count)
    ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;

DROP INDEX runs_totals;

-- A person's runs are few; of the others the newest of a pair is the last by the key.
CREATE INDEX runs_manual ON runs (policy, account, region, cluster, scheduled_at) WHERE "trigger" = 'manual';
