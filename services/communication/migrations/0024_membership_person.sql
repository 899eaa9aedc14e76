-- Teachers' logins are kept beside those of the office: who has both is one person.

-- The record of a teacher; none of who runs the school.
ALTER TABLE membership ADD COLUMN person_id uuid;
