-- no transaction
-- The children of a guardian: asked at each look at an announcement.
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_link_guardian ON guardian_link (school_id, guardian_id, student_id);
