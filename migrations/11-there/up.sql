-- The history of redkeep, version 11: what a start and most commands read, in the order in which they read it.

-- The ended runs whose snapshot may be there, with everything that decisions are made of: the runs themselves are not
-- looked at, nor AWS's whole description. What is no JSON stands here as it is, and is told as damage where it is read.
CREATE INDEX runs_there ON runs (
    policy, account, region, cluster, scheduled_at, "trigger", state, reason, message, attempts, snapshot_id, tier,
    tier_reason, retention_days, tags, starts_at, deadline_at, completion_window_seconds, interval_seconds,
    requested_at, asked_at, accepted_at, ended_at, size_bytes,
    -- Only so that nothing of the condition has to be looked up.
    progress, gone_at, snapshot IS NOT NULL,
    iif(json_valid(snapshot), json_extract(snapshot, '$.snapshot_identifier', '$.snapshot_create_time',
        '$.cluster_create_time', '$.manual_snapshot_retention_period', '$.snapshot_retention_start_time',
        '$.actual_incremental_backup_size_in_mega_bytes', '$.owner_account', '$.snapshot_arn',
        '$.accounts_with_restore_access'), snapshot),
    iif(json_valid(snapshot), nullif(json_extract(snapshot, '$.tags'), tags), NULL)
) WHERE progress IS NULL AND gone_at IS NULL AND (state = 'available' OR snapshot IS NOT NULL);

DROP INDEX runs_good;
