-- no transaction
CREATE INDEX CONCURRENTLY guardian_link_guardian ON guardian_link (school_id, guardian_id);
