-- One student's day and what guardians were told of it (ADR 0801).

CREATE TABLE absence_alert (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    day date NOT NULL,
    state text NOT NULL CHECK (state IN (
        'none',       -- nothing to tell; → pending when the student is missed
        'pending',    -- the grace period runs; → none when explained, → sent or withheld when it is over
        'sent',       -- the guardians know; → corrected when the mark changes
        'corrected',  -- the guardians know that it was not so; → pending, a new episode, when missed again
        'withheld'    -- the grace period is over and nobody was told, `reason` says why; → none when explained
    )),
    episode int NOT NULL CHECK (episode >= 1),
    due_at timestamptz,
    reason text CHECK (reason IN ('too_late', 'nobody_to_tell')),
    version bigint NOT NULL,
    lessons text [] NOT NULL,
    changed_by uuid NOT NULL,
    traceparent text,
    PRIMARY KEY (school_id, student_id, day),
    CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CHECK ((state = 'withheld') = (reason IS NOT NULL))
);

ALTER TABLE absence_alert ENABLE ROW LEVEL SECURITY;
ALTER TABLE absence_alert FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON absence_alert
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON absence_alert TO notification_app;

-- The pending ones of every school, ids only and without row-level security (ADR 0803): the worker asks here what is
-- due anywhere, and reads everything else as that school.
CREATE TABLE alert_due (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    day date NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, student_id, day)
);

CREATE INDEX alert_due_at ON alert_due (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_due TO notification_app;
