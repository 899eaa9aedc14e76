-- What there is to read at a school: read models of the announcements of `communication`, for the day of its staff
-- (ADR 0506). They come in any order: what was told of an announcement may be there before its readers, or after.

CREATE TABLE today_announcement (
    school_id uuid NOT NULL,
    announcement_id uuid NOT NULL,
    edition int NOT NULL,
    expires_at timestamptz,
    is_withdrawn boolean NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, announcement_id)
);

-- One announcement for one member of staff. `version` is the edition that they read last: 0 when none yet.
CREATE TABLE today_message (
    school_id uuid NOT NULL,
    announcement_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('school_admin', 'teacher')),
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, announcement_id, recipient_id)
);

CREATE INDEX today_message_recipient ON today_message (school_id, recipient_id, announcement_id);

ALTER TABLE today_announcement ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_announcement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_announcement
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_announcement TO school_app;

ALTER TABLE today_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_message
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_message TO school_app;
