-- Days that some grades have instead of the school's (ADR 0708). They stand beside `calendar_day`, so that the release
-- before this one does not take them for everybody's. `number` tells those of a date apart, in order of their grades.

CREATE TABLE grade_day (
    school_id uuid NOT NULL,
    day date NOT NULL,
    number smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('holiday', 'special')),
    title text NOT NULL,
    opens_at time,
    closes_at time,
    PRIMARY KEY (school_id, day, number),
    FOREIGN KEY (school_id) REFERENCES school (school_id),
    CONSTRAINT grade_day_open CHECK (
        (kind = 'special' OR (opens_at IS NULL AND closes_at IS NULL)) AND opens_at < closes_at
    )
);

-- No grade has two days on a date.
CREATE TABLE grade_day_grade (
    school_id uuid NOT NULL,
    day date NOT NULL,
    grade text NOT NULL,
    number smallint NOT NULL,
    PRIMARY KEY (school_id, day, grade),
    FOREIGN KEY (school_id, day, number) REFERENCES grade_day (school_id, day, number) ON DELETE CASCADE
);

CREATE TABLE grade_day_period (
    school_id uuid NOT NULL,
    day date NOT NULL,
    number smallint NOT NULL,
    period text NOT NULL,
    starts_at time NOT NULL,
    ends_at time NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (school_id, day, number, period),
    FOREIGN KEY (school_id, day, number) REFERENCES grade_day (school_id, day, number) ON DELETE CASCADE,
    CONSTRAINT grade_day_period_overlap EXCLUDE USING gist (
        school_id WITH =, day WITH =, number WITH =,
        numrange(extract(EPOCH FROM starts_at), extract(EPOCH FROM ends_at)) WITH &&
    )
);

ALTER TABLE grade_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE grade_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON grade_day
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON grade_day TO school_app;

ALTER TABLE grade_day_grade ENABLE ROW LEVEL SECURITY;
ALTER TABLE grade_day_grade FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON grade_day_grade
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON grade_day_grade TO school_app;

ALTER TABLE grade_day_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE grade_day_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON grade_day_period
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON grade_day_period TO school_app;
