-- The history of redkeep, version 7: by which clocks a pair's watermark was set, so that renewed time zone data is noticed.

-- A fingerprint of the zone's rules; NULL until an older history's pair is looked at.
ALTER TABLE pairs ADD COLUMN zone_rules TEXT;
-- What the zone's clocks showed at the watermark, without an offset.
ALTER TABLE pairs ADD COLUMN local_watermark TEXT;
