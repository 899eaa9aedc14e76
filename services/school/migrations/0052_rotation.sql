-- Weeks or days that take turns, each with bells of its own beside those of every week (ADR 0709). The turns are read
-- and written whole, by nobody but their school.

CREATE TABLE rotation (
    school_id uuid PRIMARY KEY REFERENCES school (school_id),
    kind text NOT NULL CHECK (kind IN ('weeks', 'days')),
    starts_on date NOT NULL,
    weekdays smallint [] NOT NULL CHECK (cardinality(weekdays) BETWEEN 1 AND 7),
    skips_days_off boolean NOT NULL,
    turns jsonb NOT NULL CHECK (jsonb_typeof(turns) = 'array')
);

ALTER TABLE rotation ENABLE ROW LEVEL SECURITY;
ALTER TABLE rotation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON rotation
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON rotation TO school_app;
