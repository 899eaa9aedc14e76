-- When a school is open: its sessions, the bells of each weekday, and the days that are not as their weekday says.

CREATE TABLE academic_session (
    school_id uuid NOT NULL,
    academic_session_id uuid NOT NULL,
    sourced_id text,
    title text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('school_year', 'term', 'grading_period')),
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on >= starts_on),
    parent_id uuid,
    CHECK (parent_id <> academic_session_id),
    PRIMARY KEY (school_id, academic_session_id),
    UNIQUE (school_id, sourced_id),
    FOREIGN KEY (school_id) REFERENCES school (school_id),
    FOREIGN KEY (school_id, parent_id) REFERENCES academic_session (school_id, academic_session_id)
);

CREATE TABLE bell_period (
    school_id uuid NOT NULL,
    weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    period text NOT NULL,
    starts_at time NOT NULL,
    ends_at time NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (school_id, weekday, period),
    FOREIGN KEY (school_id) REFERENCES school (school_id),
    CONSTRAINT bell_period_overlap EXCLUDE USING gist (
        school_id WITH =, weekday WITH =,
        numrange(extract(EPOCH FROM starts_at), extract(EPOCH FROM ends_at)) WITH &&
    )
);

CREATE TABLE calendar_day (
    school_id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('holiday', 'special')),
    title text NOT NULL,
    PRIMARY KEY (school_id, day),
    FOREIGN KEY (school_id) REFERENCES school (school_id)
);

ALTER TABLE academic_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE academic_session FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON academic_session
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON academic_session TO school_app;

ALTER TABLE bell_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE bell_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON bell_period
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON bell_period TO school_app;

ALTER TABLE calendar_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_day
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_day TO school_app;
