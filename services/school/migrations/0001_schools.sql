-- Districts, their schools, and the settings of each school.

CREATE TABLE district (
    district_id uuid PRIMARY KEY,
    sourced_id text NOT NULL UNIQUE,
    name text NOT NULL
);

-- Which school has which id: found before its tenant is known. Written together with the school itself.
CREATE TABLE school_directory (
    school_id uuid PRIMARY KEY,
    district_id uuid NOT NULL REFERENCES district (district_id),
    sourced_id text NOT NULL,
    name text NOT NULL,
    -- What the roster said last; a name given at the school stays until the roster says something new.
    roster_name text NOT NULL,
    UNIQUE (district_id, sourced_id),
    UNIQUE (school_id, district_id)
);

CREATE INDEX school_directory_name ON school_directory (name, school_id);

CREATE TABLE school (
    school_id uuid PRIMARY KEY,
    district_id uuid NOT NULL,
    sourced_id text NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    grace_period_minutes smallint NOT NULL DEFAULT 10 CHECK (grace_period_minutes BETWEEN 0 AND 240),
    version bigint NOT NULL DEFAULT 1,
    calendar_version bigint NOT NULL DEFAULT 1,
    FOREIGN KEY (school_id, district_id) REFERENCES school_directory (school_id, district_id)
);

GRANT SELECT, INSERT, UPDATE ON district TO school_app;
GRANT SELECT, INSERT, UPDATE ON school_directory TO school_app;

ALTER TABLE school ENABLE ROW LEVEL SECURITY;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school TO school_app;
