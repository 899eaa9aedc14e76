-- no transaction
CREATE INDEX CONCURRENTLY notification_subject ON notification (school_id, subject_id) WHERE subject_id IS NOT NULL;
