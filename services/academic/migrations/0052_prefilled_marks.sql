-- Whether a mark was not made by hand, but taken from what explained the absence when the register was saved (ADR 0705):
-- it excuses as long as something does. What was saved before this counts as made by hand.

ALTER TABLE attendance_mark ADD COLUMN is_prefilled boolean NOT NULL DEFAULT false;
