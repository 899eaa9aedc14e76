-- Whether everybody who was on the roll when a register was saved last has a mark in it. Who joined the class later does
-- not count; what was saved before this counts as complete.

ALTER TABLE register ADD COLUMN is_complete boolean NOT NULL DEFAULT true;
