-- no transaction
-- The classes of a person: those that a teacher may write to.
CREATE INDEX CONCURRENTLY IF NOT EXISTS class_member_person ON class_member (school_id, person_id, role);
