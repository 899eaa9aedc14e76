-- Those who run the school, who have no other record than their login; and who is absent today.

CREATE TABLE membership (
    school_id uuid NOT NULL,
    membership_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    is_active boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, membership_id)
);

-- The latest day of each student that anybody marked: one row, so that nothing has to be pruned.
CREATE TABLE latest_attendance (
    school_id uuid NOT NULL,
    student_id uuid NOT NULL,
    day date NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (school_id, student_id)
);

ALTER TABLE membership ENABLE ROW LEVEL SECURITY;
ALTER TABLE membership FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON membership
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON membership TO communication_app;

ALTER TABLE latest_attendance ENABLE ROW LEVEL SECURITY;
ALTER TABLE latest_attendance FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON latest_attendance
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON latest_attendance TO communication_app;
