-- The history of redkeep, version 8: work that is half done.

-- What keeps an errand of which some is done from being finished; it is carried on until nothing does.

ALTER TABLE errands ADD COLUMN trouble TEXT; -- NULL while nothing of it is done, or all
