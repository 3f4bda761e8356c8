-- The history of redkeep, version 12: as version 11.
SELECT 1;
