-- What this service must know of schools and people: read models, fed by events, rebuilt by replaying them.
-- No foreign keys between aggregates: their events arrive in any order. Each row holds the highest version seen.

CREATE TABLE school (
    school_id uuid PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE student (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, student_id)
);

CREATE TABLE teacher (
    school_id uuid NOT NULL,
    teacher_id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, teacher_id)
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
    priority int NOT NULL,
    starts_on date,
    ends_on date,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, guardian_link_id)
);

CREATE INDEX guardian_link_student ON guardian_link (school_id, student_id, guardian_id);

CREATE TABLE school_class (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    title text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, class_id)
);

-- A spell of one person in one class; part of its class, replaced with it.
CREATE TABLE class_member (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    person_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('student', 'teacher')),
    starts_on date NOT NULL,
    ends_on date,
    PRIMARY KEY (school_id, class_id, role, person_id, starts_on),
    FOREIGN KEY (school_id, class_id) REFERENCES school_class (school_id, class_id)
);

ALTER TABLE school ENABLE ROW LEVEL SECURITY;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school TO communication_app;

ALTER TABLE student ENABLE ROW LEVEL SECURITY;
ALTER TABLE student FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON student
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON student TO communication_app;

ALTER TABLE teacher ENABLE ROW LEVEL SECURITY;
ALTER TABLE teacher FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON teacher
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON teacher TO communication_app;

ALTER TABLE guardian ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian TO communication_app;

ALTER TABLE guardian_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian_link
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian_link TO communication_app;

ALTER TABLE school_class ENABLE ROW LEVEL SECURITY;
ALTER TABLE school_class FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school_class
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school_class TO communication_app;

ALTER TABLE class_member ENABLE ROW LEVEL SECURITY;
ALTER TABLE class_member FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON class_member
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON class_member TO communication_app;
