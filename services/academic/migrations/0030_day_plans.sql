-- What was told of the lessons of each day (ADR 0506).

CREATE TABLE day_plan (
    school_id uuid NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL,
    -- of the lessons as they were told last: the same lessons are not told again
    digest bytea NOT NULL,
    PRIMARY KEY (school_id, day)
);

ALTER TABLE day_plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE day_plan FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON day_plan
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON day_plan TO academic_app;

-- When to look next whether the lessons of a school differ from what was told: one row per school, an id and an
-- instant, without row-level security (ADR 0803). Whatever changes lessons brings it forward.
CREATE TABLE plan_watch (
    school_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL
);

CREATE INDEX plan_watch_due ON plan_watch (due_at);
GRANT SELECT, INSERT, UPDATE ON plan_watch TO academic_app;

-- The schools that are there already.
INSERT INTO plan_watch (school_id, due_at) SELECT school_id, now() FROM lesson_watch;
