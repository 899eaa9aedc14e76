-- no transaction
-- What somebody was told of lately, without looking at what they were told in all years.

CREATE INDEX CONCURRENTLY IF NOT EXISTS register_notice_told ON register_notice (school_id, told_at);
