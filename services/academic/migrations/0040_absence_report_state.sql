-- no transaction
-- What the office has to decide, newest first, without looking at what was decided.

CREATE INDEX CONCURRENTLY IF NOT EXISTS absence_report_state ON absence_report (school_id, state, id);
