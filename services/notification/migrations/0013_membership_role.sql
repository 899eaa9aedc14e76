-- no transaction
CREATE INDEX CONCURRENTLY membership_role ON membership (school_id, role);
