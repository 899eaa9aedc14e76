-- What this service must know of schools and people: read models, fed by events, rebuilt by replaying them.
-- No foreign keys between them: events of different aggregates arrive in any order.

CREATE TABLE school (
    school_id uuid PRIMARY KEY,
    name text NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE person (
    school_id uuid NOT NULL,
    person_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('teacher', 'student', 'guardian')),
    name text NOT NULL,
    email text,
    email_normalised text,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, person_id),
    CHECK ((email IS NULL) = (email_normalised IS NULL))
);

CREATE INDEX person_role ON person (school_id, role, person_id) WHERE is_active;

ALTER TABLE school ENABLE ROW LEVEL SECURITY;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school TO auth_app;

ALTER TABLE person ENABLE ROW LEVEL SECURITY;
ALTER TABLE person FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON person
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON person TO auth_app;
