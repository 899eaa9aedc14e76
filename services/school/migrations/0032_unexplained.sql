-- Whether guardians are still owed an answer for a day: who was excused or there after all is not among the unreached.
-- Null is a day that was told before this was kept.

ALTER TABLE today_attendance_day ADD COLUMN is_unexplained_absence boolean;
