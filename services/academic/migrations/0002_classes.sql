-- Courses, the classes that meet for them, and who belongs to a class from when to when.

CREATE TABLE course (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    title text NOT NULL,
    code text,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, sourced_id)
);

CREATE TABLE school_class (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    title text NOT NULL,
    kind text NOT NULL DEFAULT 'scheduled' CHECK (kind IN ('scheduled', 'homeroom')),
    course_id uuid,
    periods text[] NOT NULL DEFAULT '{}',
    room text,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, sourced_id),
    FOREIGN KEY (school_id, course_id) REFERENCES course (school_id, id)
);

-- The terms in which a class meets; the sessions themselves belong to the school service.
CREATE TABLE class_term (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    academic_session_id uuid NOT NULL,
    PRIMARY KEY (school_id, class_id, academic_session_id),
    FOREIGN KEY (school_id, class_id) REFERENCES school_class (school_id, id)
);

-- A spell of one person in one class. It ends; only one that has not begun may be deleted. A person's spells in a class
-- do not overlap, looked at after each statement as a whole: an import may move several at once.
CREATE TABLE enrolment (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    sourced_id text,
    class_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('student', 'teacher')),
    student_id uuid,
    teacher_id uuid,
    is_primary boolean NOT NULL DEFAULT false,
    starts_on date NOT NULL,
    ends_on date,
    CHECK (ends_on >= starts_on),
    CHECK ((role = 'student') = (student_id IS NOT NULL)),
    CHECK ((role = 'teacher') = (teacher_id IS NOT NULL)),
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, sourced_id),
    FOREIGN KEY (school_id, class_id) REFERENCES school_class (school_id, id),
    FOREIGN KEY (school_id, student_id) REFERENCES student (school_id, id),
    FOREIGN KEY (school_id, teacher_id) REFERENCES teacher (school_id, id),
    CONSTRAINT enrolment_overlap EXCLUDE USING gist (
        school_id WITH =, class_id WITH =, coalesce(student_id, teacher_id) WITH =,
        daterange(starts_on, ends_on, '[]') WITH &&
    ) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE INDEX enrolment_class ON enrolment (school_id, class_id);
CREATE INDEX enrolment_student ON enrolment (school_id, student_id) WHERE student_id IS NOT NULL;
CREATE INDEX enrolment_teacher ON enrolment (school_id, teacher_id) WHERE teacher_id IS NOT NULL;

ALTER TABLE course ENABLE ROW LEVEL SECURITY;
ALTER TABLE course FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON course
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON course TO academic_app;

ALTER TABLE school_class ENABLE ROW LEVEL SECURITY;
ALTER TABLE school_class FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON school_class
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON school_class TO academic_app;

ALTER TABLE class_term ENABLE ROW LEVEL SECURITY;
ALTER TABLE class_term FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON class_term
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON class_term TO academic_app;

ALTER TABLE enrolment ENABLE ROW LEVEL SECURITY;
ALTER TABLE enrolment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON enrolment
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON enrolment TO academic_app;
