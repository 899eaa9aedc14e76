-- The people of a school. Whoever leaves becomes inactive; nobody is deleted.

CREATE TABLE student (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    given_name text NOT NULL,
    family_name text NOT NULL DEFAULT '',
    preferred_name text,
    email text,
    grade text,
    birth_date date,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, sourced_id)
);

CREATE INDEX student_active ON student (school_id, family_name, given_name, id) WHERE is_active;

CREATE TABLE teacher (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    given_name text NOT NULL,
    family_name text NOT NULL DEFAULT '',
    email text,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, sourced_id)
);

CREATE INDEX teacher_active ON teacher (school_id, family_name, given_name, id) WHERE is_active;

CREATE TABLE guardian (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL DEFAULT '',
    email text,
    phone text,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id)
);

-- One person per mailbox and name: two guardians may share a mailbox, the same one is never made twice.
CREATE UNIQUE INDEX guardian_email ON guardian (school_id, lower(email), lower(given_name), lower(family_name))
    WHERE email IS NOT NULL;

CREATE TABLE guardian_link (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    guardian_id uuid NOT NULL,
    student_id uuid NOT NULL,
    relation text NOT NULL,
    may_see boolean NOT NULL,
    receives_alerts boolean NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 20),
    starts_on date,
    ends_on date CHECK (ends_on >= starts_on),
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, guardian_id, student_id),
    FOREIGN KEY (school_id, guardian_id) REFERENCES guardian (school_id, id),
    FOREIGN KEY (school_id, student_id) REFERENCES student (school_id, id)
);

CREATE INDEX guardian_link_student ON guardian_link (school_id, student_id);

-- Who changed what a guardian may see and hear: each state of a link as it was left, only ever added to.
CREATE TABLE guardian_link_change (
    school_id uuid NOT NULL,
    guardian_link_id uuid NOT NULL,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    relation text NOT NULL,
    may_see boolean NOT NULL,
    receives_alerts boolean NOT NULL,
    priority smallint NOT NULL,
    starts_on date,
    ends_on date,
    is_active boolean NOT NULL,
    PRIMARY KEY (school_id, guardian_link_id, version),
    FOREIGN KEY (school_id, guardian_link_id) REFERENCES guardian_link (school_id, id)
);

ALTER TABLE student ENABLE ROW LEVEL SECURITY;
ALTER TABLE student FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON student
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON student TO academic_app;

ALTER TABLE teacher ENABLE ROW LEVEL SECURITY;
ALTER TABLE teacher FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON teacher
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON teacher TO academic_app;

ALTER TABLE guardian ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian TO academic_app;

ALTER TABLE guardian_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian_link
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON guardian_link TO academic_app;

ALTER TABLE guardian_link_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE guardian_link_change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON guardian_link_change
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON guardian_link_change TO academic_app;
