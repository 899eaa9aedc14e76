-- Who has a mark in the register of a lesson; null of what was told before this, which counts as complete.

ALTER TABLE today_register ADD COLUMN marked_student_ids uuid[];
