-- The history of redkeep, version 7: accounts that have another name in the policy file than before.

-- Each time that everything of an account was moved under its new name. Rows are never changed.
CREATE TABLE renamings (
    from_name  TEXT NOT NULL,
    to_name    TEXT NOT NULL,
    number     TEXT NOT NULL, -- of the account, twelve digits
    renamed_at TEXT NOT NULL,
    PRIMARY KEY (from_name, to_name, renamed_at)
) STRICT;

-- An ended run stays as it is, whoever writes; only with its account it gets another name.
DROP TRIGGER runs_ended_stay;

CREATE TRIGGER runs_ended_stay
BEFORE UPDATE OF
    policy, region, cluster, scheduled_at, "trigger", state, reason, message, attempts,
    snapshot_id, tier, retention_days, tags, starts_at, deadline_at, completion_window_seconds,
    interval_seconds, requested_at, asked_at, accepted_at, ended_at, progress
ON runs WHEN OLD.progress IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an ended run stays as it is');
END;

CREATE TRIGGER runs_ended_stay_in_their_account
BEFORE UPDATE OF account ON runs
WHEN OLD.progress IS NULL AND OLD.account <> NEW.account AND NOT EXISTS (
    SELECT 1 FROM renamings WHERE from_name = OLD.account AND to_name = NEW.account
)
BEGIN
    SELECT RAISE(ABORT, 'an ended run stays as it is');
END;
