-- What people want to be told where and when, what their school insists on, and the digests that follow (ADR 0804).

CREATE TABLE preference (
    school_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    -- The zero id stands for all children, and for what is about no child.
    student_id uuid NOT NULL,
    category_group text NOT NULL CHECK (category_group IN (
        'absences', 'absence_reports', 'registers', 'announcements'
    )),
    channel text NOT NULL CHECK (channel IN ('in_app', 'email')),
    frequency text NOT NULL CHECK (frequency IN ('at_once', 'daily_digest', 'never')),
    PRIMARY KEY (school_id, recipient_id, student_id, category_group, channel),
    CHECK (channel = 'email' OR frequency <> 'daily_digest')
);

ALTER TABLE preference ENABLE ROW LEVEL SECURITY;
ALTER TABLE preference FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON preference
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON preference TO notification_app;

-- When people want mails. What is null is as the school has it.
CREATE TABLE mail_hours (
    school_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    time_zone text,
    digest_hour int CHECK (digest_hour BETWEEN 0 AND 23),
    quiet_starts_at time,
    quiet_ends_at time,
    -- ISO weekdays on which the quiet begins; it may end on the next.
    quiet_days int [],
    PRIMARY KEY (school_id, recipient_id),
    CHECK ((quiet_starts_at IS NULL) = (quiet_ends_at IS NULL) AND (quiet_starts_at IS NULL) = (quiet_days IS NULL))
);

ALTER TABLE mail_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_hours FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mail_hours
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON mail_hours TO notification_app;

CREATE TABLE notification_policy (
    school_id uuid PRIMARY KEY,
    -- Groups of which everybody is told at once, and those of which everybody is told by the next digest at the latest.
    at_once text [] NOT NULL,
    at_least_daily text [] NOT NULL,
    digest_hour int NOT NULL CHECK (digest_hour BETWEEN 0 AND 23),
    alerts_break_quiet_hours boolean NOT NULL
);

ALTER TABLE notification_policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_policy FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notification_policy
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON notification_policy TO notification_app;

-- False for what its recipient does not want to see in the app: told by mail only, or not at all.
ALTER TABLE notification ADD COLUMN in_app boolean NOT NULL DEFAULT true;
-- Whether it is sent in quiet hours too.
ALTER TABLE delivery ADD COLUMN is_urgent boolean NOT NULL DEFAULT false;

-- One mail a day and recipient; its delivery is the state of it, and its text is written when it is sent.
CREATE TABLE digest (
    school_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    -- In the recipient's time zone.
    day date NOT NULL,
    delivery_id uuid NOT NULL,
    PRIMARY KEY (school_id, recipient_id, day),
    UNIQUE (school_id, delivery_id)
);

ALTER TABLE digest ENABLE ROW LEVEL SECURITY;
ALTER TABLE digest FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON digest
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON digest TO notification_app;

CREATE TABLE digest_item (
    school_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    day date NOT NULL,
    notification_id uuid NOT NULL,
    PRIMARY KEY (school_id, recipient_id, day, notification_id),
    FOREIGN KEY (school_id, recipient_id, day) REFERENCES digest (school_id, recipient_id, day),
    FOREIGN KEY (school_id, notification_id) REFERENCES notification (school_id, notification_id)
);

ALTER TABLE digest_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE digest_item FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON digest_item
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON digest_item TO notification_app;
