-- Which year groups a class is for, and days that single ones have instead of the school's, as the school service told
-- them (ADR 0708): a row for each grade, beside those of everybody.

ALTER TABLE school_class ADD COLUMN grades text[] NOT NULL DEFAULT '{}';

CREATE TABLE grade_day (
    school_id uuid NOT NULL,
    day date NOT NULL,
    grade text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('holiday', 'special')),
    title text NOT NULL,
    periods jsonb,
    PRIMARY KEY (school_id, day, grade)
);

ALTER TABLE grade_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE grade_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON grade_day
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON grade_day TO academic_app;
