-- What the school service says of a school: read models, replaced whole by its events.

CREATE TABLE school (
    school_id uuid PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    version bigint NOT NULL,
    calendar_version bigint NOT NULL DEFAULT 0
);

CREATE TABLE academic_session (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    title text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('school_year', 'term', 'grading_period')),
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on >= starts_on),
    PRIMARY KEY (school_id, id)
);

CREATE TABLE bell_period (
    school_id uuid NOT NULL,
    weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    period text NOT NULL,
    starts_at time NOT NULL,
    ends_at time NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (school_id, weekday, period)
);

CREATE TABLE calendar_day (
    school_id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('holiday', 'special')),
    title text NOT NULL,
    PRIMARY KEY (school_id, day)
);

ALTER TABLE school ENABLE ROW LEVEL SECURITY;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school TO academic_app;

ALTER TABLE academic_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE academic_session FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON academic_session
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON academic_session TO academic_app;

ALTER TABLE bell_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE bell_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON bell_period
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON bell_period TO academic_app;

ALTER TABLE calendar_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_day
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_day TO academic_app;
