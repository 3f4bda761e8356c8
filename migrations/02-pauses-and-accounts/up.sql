-- The history of redkeep, version 2: what people ask for beside the schedules, and whose numbers the names are.

-- The stretches in which a policy's slots are missed (paused). Rows are never removed.
CREATE TABLE pauses (
    policy     TEXT NOT NULL,
    paused_at  TEXT NOT NULL, -- slots after this …
    resumed_at TEXT,          -- … up to and including this are not started; NULL while it lasts
    PRIMARY KEY (policy, paused_at)
) STRICT;

CREATE UNIQUE INDEX pauses_open ON pauses (policy) WHERE resumed_at IS NULL;

-- The AWS account that each account's name has stood for since it was first reached.
CREATE TABLE accounts (
    name   TEXT NOT NULL PRIMARY KEY, -- in the policy file
    number TEXT NOT NULL              -- twelve digits
) STRICT;
