-- Mails: what goes out, to whom, and what became of it (ADR 0802).

CREATE TABLE delivery (
    school_id uuid NOT NULL,
    -- Also the Message-ID: an attempt that is repeated after a crash can be told from a second mail.
    delivery_id uuid NOT NULL,
    notification_id uuid,
    category text NOT NULL CHECK (category IN ('absence_alert', 'absence_correction', 'invite', 'password_reset')),
    recipient_person_id uuid,
    recipient_name text NOT NULL,
    student_id uuid,
    day date,
    channel text NOT NULL CHECK (channel IN ('email')),
    address text,
    state text NOT NULL CHECK (state IN (
        'queued',       -- not yet tried; → any other
        'retried',      -- refused for the moment, will be tried again; → any other
        'sent',         -- taken over by the mail server
        'failed',       -- given up after the last attempt
        'unreachable',  -- there is no address, or the mail server refuses it for good
        'cancelled'     -- no longer to be sent: corrected, unlinked or expired in the meantime
    )),
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    subject text NOT NULL,
    body text NOT NULL,
    -- A one-time code, sealed by `auth`; opened only in the moment of sending, removed with the last attempt.
    sealed_code text,
    expires_at timestamptz,
    provider_answer text,
    last_error text,
    traceparent text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, delivery_id),
    FOREIGN KEY (school_id, notification_id) REFERENCES notification (school_id, notification_id),
    CHECK ((state IN ('queued', 'retried')) = (next_attempt_at IS NOT NULL)),
    CHECK (state IN ('queued', 'retried') OR sealed_code IS NULL),
    CHECK (address IS NOT NULL OR state = 'unreachable')
);

CREATE UNIQUE INDEX delivery_notification ON delivery (school_id, notification_id, channel);
CREATE INDEX delivery_state ON delivery (school_id, state, delivery_id);
CREATE INDEX delivery_student ON delivery (school_id, student_id, delivery_id);
CREATE INDEX delivery_day ON delivery (school_id, day, delivery_id);

ALTER TABLE delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON delivery
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON delivery TO notification_app;

-- The history of each delivery; nothing in it is ever changed.
CREATE TABLE delivery_event (
    school_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'retried', 'sent', 'failed', 'unreachable', 'cancelled')),
    attempts int NOT NULL,
    detail text,
    PRIMARY KEY (school_id, delivery_id, at, state),
    FOREIGN KEY (school_id, delivery_id) REFERENCES delivery (school_id, delivery_id)
);

ALTER TABLE delivery_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON delivery_event
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON delivery_event TO notification_app;

-- What is to be sent, of every school, ids only and without row-level security (ADR 0803). A sender takes a row by
-- moving `due_at` past the longest possible attempt: should it die, the row comes up again by itself.
CREATE TABLE delivery_due (
    school_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, delivery_id)
);

CREATE INDEX delivery_due_at ON delivery_due (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_due TO notification_app;
