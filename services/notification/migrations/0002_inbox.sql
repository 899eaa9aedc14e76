-- What a person reads in the app. Written in the transaction of the change that it tells of: exactly once.

CREATE TABLE notification (
    school_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    recipient_person_id uuid NOT NULL,
    student_id uuid,
    category text NOT NULL CHECK (category IN ('absence_alert', 'absence_correction')),
    -- What it is about, e.g. `absence:<student>:<day>:<episode>`: nobody is told the same of it twice.
    idempotency_key text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    deep_link text NOT NULL,
    created_at timestamptz NOT NULL,
    read_at timestamptz,
    is_read boolean GENERATED ALWAYS AS (read_at IS NOT NULL) STORED,
    PRIMARY KEY (school_id, notification_id),
    UNIQUE (school_id, idempotency_key, category, recipient_person_id)
);

CREATE INDEX notification_inbox ON notification (school_id, recipient_person_id, notification_id);
CREATE INDEX notification_unread ON notification (school_id, recipient_person_id, is_read, notification_id);

ALTER TABLE notification ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notification
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE (read_at) ON notification TO notification_app;
