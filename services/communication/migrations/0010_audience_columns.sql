-- What audiences are made of: the year group of a student, and whether a guardian may see a child. NULL is what was
-- taken in before: nobody is written to for it, and it is taken in as soon as it is told again, with any version that
-- is not older.

ALTER TABLE student ADD COLUMN grade text;
ALTER TABLE guardian_link ADD COLUMN may_see boolean;
