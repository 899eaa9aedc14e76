-- The answers to requests that carried an Idempotency-Key, written in the transactions of what those requests did.
-- A caller without a school has the nil uuid for one.

CREATE TABLE idempotency (
    school_id uuid NOT NULL,
    user_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, user_id, operation, key)
);

CREATE INDEX idempotency_expires ON idempotency (expires_at);

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
-- The worker forgets what is over in all schools without being able to read it: a DELETE that names no column
-- asks this policy only.
CREATE POLICY over ON idempotency FOR DELETE
    USING (expires_at < now());

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO {app_role};
