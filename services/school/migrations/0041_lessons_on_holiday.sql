-- Whether the day is a holiday for the lesson's class, which may be for a grade with a day of its own; null where nobody
-- told: then the school's day says it.

ALTER TABLE today_lesson ADD COLUMN is_on_holiday boolean;
