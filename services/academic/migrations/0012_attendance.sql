-- Registers and their marks: a history that is only ever added to.

CREATE TABLE attendance_code (
    school_id uuid NOT NULL,
    code text NOT NULL,
    title text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('present', 'late', 'absent', 'excused')),
    is_alerting boolean NOT NULL CHECK (NOT is_alerting OR kind = 'absent'),
    statutory_code text,
    is_active boolean NOT NULL DEFAULT true,
    PRIMARY KEY (school_id, code)
);

CREATE TABLE register (
    school_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    version bigint NOT NULL,
    saved_at timestamptz NOT NULL,
    saved_by uuid NOT NULL,
    PRIMARY KEY (school_id, lesson_id),
    FOREIGN KEY (school_id, lesson_id) REFERENCES lesson (school_id, id)
);

-- The kind of the code stands here too: what a mark meant when it was made stays, whatever becomes of the code.
CREATE TABLE attendance_mark (
    school_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    student_id uuid NOT NULL,
    register_version bigint NOT NULL,
    day date NOT NULL,
    code text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('present', 'late', 'absent', 'excused')),
    is_alerting boolean NOT NULL,
    minutes_late smallint CHECK ((minutes_late IS NOT NULL) = (kind = 'late')),
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL,
    reason text,
    PRIMARY KEY (school_id, lesson_id, student_id, register_version),
    FOREIGN KEY (school_id, lesson_id) REFERENCES register (school_id, lesson_id),
    FOREIGN KEY (school_id, student_id) REFERENCES student (school_id, id),
    FOREIGN KEY (school_id, code) REFERENCES attendance_code (school_id, code)
);

CREATE INDEX attendance_mark_student_day ON attendance_mark (school_id, student_id, day);

-- Derived from the marks of a student's day; its version is that of the event which tells of it.
CREATE TABLE attendance_day (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    day date NOT NULL,
    status text NOT NULL DEFAULT 'unmarked'
        CHECK (status IN ('present', 'late', 'absent', 'excused', 'unmarked')),
    is_unexplained_absence boolean NOT NULL DEFAULT false,
    missed_lessons jsonb NOT NULL DEFAULT '[]',
    version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (school_id, student_id, day),
    FOREIGN KEY (school_id, student_id) REFERENCES student (school_id, id)
);

ALTER TABLE attendance_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE attendance_code FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON attendance_code
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON attendance_code TO academic_app;

ALTER TABLE register ENABLE ROW LEVEL SECURITY;
ALTER TABLE register FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON register
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON register TO academic_app;

-- No UPDATE, no DELETE: a correction is a further row.
ALTER TABLE attendance_mark ENABLE ROW LEVEL SECURITY;
ALTER TABLE attendance_mark FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON attendance_mark
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON attendance_mark TO academic_app;

ALTER TABLE attendance_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE attendance_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON attendance_day
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON attendance_day TO academic_app;
