-- Registers that nobody has saved in time, and who was told of them (ADR 0706).

ALTER TABLE school
    ADD COLUMN register_reminder_minutes smallint NOT NULL DEFAULT 15,
    ADD COLUMN register_escalation_minutes smallint NOT NULL DEFAULT 60;

-- What was told, once each. No key to the lesson: planning may take it away and make it anew under the same id, and
-- that is no reason to tell of it twice.
CREATE TABLE register_notice (
    school_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    step text NOT NULL CHECK (step IN ('teacher', 'office')),
    told_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, lesson_id, step)
);

ALTER TABLE register_notice ENABLE ROW LEVEL SECURITY;
ALTER TABLE register_notice FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON register_notice
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON register_notice TO academic_app;

-- When to look at a school's lessons next: one row per school, an id and an instant, without row-level security
-- (ADR 0803). Whatever changes lessons brings it forward.
CREATE TABLE lesson_watch (
    school_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL
);

CREATE INDEX lesson_watch_due ON lesson_watch (due_at);
GRANT SELECT, INSERT, UPDATE ON lesson_watch TO academic_app;

-- The schools that are there already. The owner is behind the wall too; the table is locked until this is committed.
ALTER TABLE school NO FORCE ROW LEVEL SECURITY;
INSERT INTO lesson_watch (school_id, due_at) SELECT school_id, now() FROM school;
ALTER TABLE school FORCE ROW LEVEL SECURITY;
