-- Lessons, made out of weekly periods, and the wall that keeps a class, room or teacher at one at a time.

CREATE TABLE lesson (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    class_id uuid NOT NULL,
    day date NOT NULL,
    period text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    during tstzrange NOT NULL GENERATED ALWAYS AS (tstzrange(starts_at, ends_at)) STORED,
    room text,
    -- planned: follows the class and the calendar; manual: made or moved by hand, planning leaves it alone
    origin text NOT NULL DEFAULT 'planned' CHECK (origin IN ('planned', 'manual')),
    -- a cancelled lesson stays, and takes no room, teacher or class
    is_cancelled boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, id),
    UNIQUE (school_id, class_id, day, period),
    UNIQUE (school_id, id, starts_at, ends_at, is_cancelled),
    FOREIGN KEY (school_id, class_id) REFERENCES school_class (school_id, id),
    CONSTRAINT lesson_class_clash EXCLUDE USING gist (school_id WITH =, class_id WITH =, during WITH &&)
        WHERE (NOT is_cancelled),
    CONSTRAINT lesson_room_clash EXCLUDE USING gist (school_id WITH =, room WITH =, during WITH &&)
        WHERE (NOT is_cancelled AND room IS NOT NULL)
);

CREATE INDEX lesson_day ON lesson (school_id, day, starts_at);

-- The times stand here once more because an exclusion constraint sees one table; the foreign key keeps them the same.
CREATE TABLE lesson_teacher (
    school_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    teacher_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    during tstzrange NOT NULL GENERATED ALWAYS AS (tstzrange(starts_at, ends_at)) STORED,
    is_cancelled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (school_id, lesson_id, teacher_id),
    FOREIGN KEY (school_id, lesson_id, starts_at, ends_at, is_cancelled)
        REFERENCES lesson (school_id, id, starts_at, ends_at, is_cancelled) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (school_id, teacher_id) REFERENCES teacher (school_id, id),
    CONSTRAINT lesson_teacher_clash EXCLUDE USING gist (school_id WITH =, teacher_id WITH =, during WITH &&)
        WHERE (NOT is_cancelled)
);

-- What the classes ask for and cannot be; made anew at each planning.
CREATE TABLE timetable_clash (
    school_id uuid NOT NULL,
    class_id uuid NOT NULL,
    day date NOT NULL,
    period text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('class', 'teacher', 'room')),
    other_class_id uuid NOT NULL,
    PRIMARY KEY (school_id, class_id, day, period),
    FOREIGN KEY (school_id, class_id) REFERENCES school_class (school_id, id),
    FOREIGN KEY (school_id, other_class_id) REFERENCES school_class (school_id, id)
);

ALTER TABLE lesson ENABLE ROW LEVEL SECURITY;
ALTER TABLE lesson FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lesson
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON lesson TO academic_app;

ALTER TABLE lesson_teacher ENABLE ROW LEVEL SECURITY;
ALTER TABLE lesson_teacher FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lesson_teacher
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON lesson_teacher TO academic_app;

ALTER TABLE timetable_clash ENABLE ROW LEVEL SECURITY;
ALTER TABLE timetable_clash FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON timetable_clash
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON timetable_clash TO academic_app;
