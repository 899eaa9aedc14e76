-- What the day of a school looks like: read models of other services' events (ADR 0506). Each row holds the highest
-- version seen; no keys between aggregates, since their events come in any order. `touched_at` is when an event or a
-- rebuild last had something to say of a row: what a rebuild does not touch is no more.

CREATE TABLE today_student (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, student_id)
);

CREATE INDEX today_student_active ON today_student (school_id, student_id) WHERE is_active;

CREATE TABLE today_teacher (
    school_id uuid NOT NULL,
    teacher_id uuid NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, teacher_id)
);

CREATE TABLE today_class (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    title text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, class_id)
);

-- A spell of one person in one class; part of its class, replaced with it.
CREATE TABLE today_class_member (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    person_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('student', 'teacher')),
    starts_on date NOT NULL,
    ends_on date,
    PRIMARY KEY (school_id, class_id, role, person_id, starts_on),
    FOREIGN KEY (school_id, class_id) REFERENCES today_class (school_id, class_id) ON DELETE CASCADE
);

CREATE INDEX today_class_member_person ON today_class_member (school_id, person_id);

CREATE TABLE today_guardian_link (
    school_id uuid NOT NULL,
    guardian_link_id uuid NOT NULL,
    guardian_id uuid NOT NULL,
    student_id uuid NOT NULL,
    may_see boolean NOT NULL,
    starts_on date,
    ends_on date,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, guardian_link_id)
);

CREATE INDEX today_guardian_link_guardian ON today_guardian_link (school_id, guardian_id);

CREATE TABLE today_attendance_day (
    school_id uuid NOT NULL,
    day date NOT NULL,
    student_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('present', 'late', 'absent', 'excused', 'unmarked')),
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, day, student_id)
);

CREATE TABLE today_absence_report (
    school_id uuid NOT NULL,
    absence_report_id uuid NOT NULL,
    student_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('absence', 'leave')),
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'accepted', 'refused', 'withdrawn')),
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, absence_report_id)
);

CREATE INDEX today_absence_report_student ON today_absence_report (school_id, student_id, ends_on);
CREATE INDEX today_absence_report_pending ON today_absence_report (school_id, ends_on) WHERE state = 'pending';

-- The lessons of a day are one aggregate: replaced whole, under the lock of the day's row.
CREATE TABLE today_plan (
    school_id uuid NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, day)
);

CREATE TABLE today_lesson (
    school_id uuid NOT NULL,
    day date NOT NULL,
    lesson_id uuid NOT NULL,
    class_id uuid NOT NULL,
    class_title text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    teacher_ids uuid[] NOT NULL,
    is_cancelled boolean NOT NULL,
    PRIMARY KEY (school_id, day, lesson_id),
    FOREIGN KEY (school_id, day) REFERENCES today_plan (school_id, day) ON DELETE CASCADE
);

CREATE TABLE today_register (
    school_id uuid NOT NULL,
    day date NOT NULL,
    lesson_id uuid NOT NULL,
    saved_at timestamptz NOT NULL,
    present int NOT NULL,
    absent int NOT NULL,
    late int NOT NULL,
    excused int NOT NULL,
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, day, lesson_id)
);

-- What became of the mails of absence alerts.
CREATE TABLE today_delivery (
    school_id uuid NOT NULL,
    day date NOT NULL,
    delivery_id uuid NOT NULL,
    student_id uuid NOT NULL,
    -- null when there was nobody to write to
    recipient_id uuid,
    state text NOT NULL CHECK (state IN ('sent', 'failed', 'unreachable', 'cancelled')),
    version bigint NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, day, delivery_id)
);

ALTER TABLE today_student ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_student FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_student
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_student TO school_app;

ALTER TABLE today_teacher ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_teacher FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_teacher
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_teacher TO school_app;

ALTER TABLE today_class ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_class FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_class
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_class TO school_app;

ALTER TABLE today_class_member ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_class_member FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_class_member
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_class_member TO school_app;

ALTER TABLE today_guardian_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_guardian_link FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_guardian_link
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_guardian_link TO school_app;

ALTER TABLE today_attendance_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_attendance_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_attendance_day
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_attendance_day TO school_app;

ALTER TABLE today_absence_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_absence_report FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_absence_report
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_absence_report TO school_app;

ALTER TABLE today_plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_plan FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_plan
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_plan TO school_app;

ALTER TABLE today_lesson ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_lesson FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_lesson
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_lesson TO school_app;

ALTER TABLE today_register ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_register FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_register
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_register TO school_app;

ALTER TABLE today_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE today_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON today_delivery
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON today_delivery TO school_app;
