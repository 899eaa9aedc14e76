-- no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS notification_subject_recipient
ON notification (school_id, subject_id, recipient_person_id)
WHERE subject_id IS NOT NULL;
