-- The history of redkeep, version 3: why a snapshot has its tier.
ALTER TABLE runs ADD COLUMN tier_reason TEXT; -- for people; NULL where the policy has one period for all
