-- What guardians report of a child's absence, or ask leave for, and what the office makes of it (ADR 0705).

CREATE TABLE absence_report (
    school_id uuid NOT NULL,
    id uuid NOT NULL,
    student_id uuid NOT NULL,
    -- null when the office wrote it down
    guardian_id uuid,
    -- absence: explains at once, until it is refused; leave: explains once it is accepted
    kind text NOT NULL CHECK (kind IN ('absence', 'leave')),
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on >= starts_on),
    -- a part of one day, in the school's local time; null is the whole of it
    starts_at time,
    ends_at time,
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'pending',   -- the office has not answered; → accepted, refused or withdrawn
        'accepted',  -- → refused; withdrawn before its first day
        'refused',   -- explains nothing; → accepted
        'withdrawn'  -- by the guardian who reported it; stays so
    )),
    answer text,
    version bigint NOT NULL,
    reported_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, id),
    FOREIGN KEY (school_id, student_id) REFERENCES student (school_id, id),
    FOREIGN KEY (school_id, guardian_id) REFERENCES guardian (school_id, id),
    CHECK (starts_on = ends_on OR (starts_at IS NULL AND ends_at IS NULL)),
    CHECK (ends_at > starts_at)
);

CREATE INDEX absence_report_student ON absence_report (school_id, student_id, ends_on);

-- Every state that a report was ever in: only added to.
CREATE TABLE absence_report_change (
    school_id uuid NOT NULL,
    absence_report_id uuid NOT NULL,
    version bigint NOT NULL,
    state text NOT NULL,
    answer text,
    changed_at timestamptz NOT NULL,
    changed_by uuid NOT NULL,
    PRIMARY KEY (school_id, absence_report_id, version),
    FOREIGN KEY (school_id, absence_report_id) REFERENCES absence_report (school_id, id)
);

ALTER TABLE absence_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE absence_report FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON absence_report
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON absence_report TO academic_app;

-- No UPDATE, no DELETE.
ALTER TABLE absence_report_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE absence_report_change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON absence_report_change
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON absence_report_change TO academic_app;

-- Which reports a code is suggested for, when a register is taken.
ALTER TABLE attendance_code ADD COLUMN suggested_for text CHECK (suggested_for IN ('absence', 'leave'));
