-- What was heard of the register of a lesson, so that order does not matter: when it was last told to be missing, and
-- when it was last saved, or its lesson told to be cancelled.

CREATE TABLE register (
    school_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    missing_at timestamptz,
    settled_at timestamptz,
    PRIMARY KEY (school_id, lesson_id)
);

ALTER TABLE register ENABLE ROW LEVEL SECURITY;
ALTER TABLE register FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON register
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON register TO notification_app;
