-- no transaction
-- notification_subject_recipient begins with the same columns.
DROP INDEX CONCURRENTLY IF EXISTS notification_subject;
