-- What this service must know of schools and people: read models, fed by events, rebuilt by replaying them.
-- No foreign keys between them: events of different aggregates arrive in any order.

CREATE TABLE school (
    school_id uuid PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    grace_period_minutes int NOT NULL CHECK (grace_period_minutes >= 0),
    version bigint NOT NULL
);

CREATE TABLE student (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    given_name text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, student_id)
);

CREATE TABLE guardian (
    school_id uuid NOT NULL,
    guardian_id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL,
    email text,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, guardian_id)
);

CREATE TABLE guardian_link (
    school_id uuid NOT NULL,
    guardian_link_id uuid NOT NULL,
    guardian_id uuid NOT NULL,
    student_id uuid NOT NULL,
    relation text NOT NULL,
    may_see boolean NOT NULL,
    receives_alerts boolean NOT NULL,
    priority int NOT NULL,
    starts_on date,
    ends_on date,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, guardian_link_id)
);

CREATE INDEX guardian_link_student ON guardian_link (school_id, student_id, guardian_id);

CREATE TABLE membership (
    school_id uuid NOT NULL,
    membership_id uuid NOT NULL,
    user_id uuid NOT NULL,
    person_id uuid,
    role text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, membership_id)
);

CREATE INDEX membership_person ON membership (school_id, person_id, user_id);

ALTER TABLE school ENABLE ROW LEVEL SECURITY;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school TO notification_app;

ALTER TABLE student ENABLE ROW LEVEL SECURITY;
ALTER TABLE student FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON student
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON student TO notification_app;

ALTER TABLE guardian ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian TO notification_app;

ALTER TABLE guardian_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian_link
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian_link TO notification_app;

ALTER TABLE membership ENABLE ROW LEVEL SECURITY;
ALTER TABLE membership FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON membership
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON membership TO notification_app;
