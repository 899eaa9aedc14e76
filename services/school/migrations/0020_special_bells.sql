-- Special days with bells of their own: told one by one, or the weekday's, cut to when the school is open.

ALTER TABLE calendar_day ADD COLUMN opens_at time;
ALTER TABLE calendar_day ADD COLUMN closes_at time;
ALTER TABLE calendar_day ADD CONSTRAINT calendar_day_open CHECK (
    (kind = 'special' OR (opens_at IS NULL AND closes_at IS NULL)) AND opens_at < closes_at
) NOT VALID;

CREATE TABLE calendar_day_period (
    school_id uuid NOT NULL,
    day date NOT NULL,
    period text NOT NULL,
    starts_at time NOT NULL,
    ends_at time NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (school_id, day, period),
    FOREIGN KEY (school_id, day) REFERENCES calendar_day (school_id, day) ON DELETE CASCADE,
    CONSTRAINT calendar_day_period_overlap EXCLUDE USING gist (
        school_id WITH =, day WITH =,
        numrange(extract(EPOCH FROM starts_at), extract(EPOCH FROM ends_at)) WITH &&
    )
);

ALTER TABLE calendar_day_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_day_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_day_period
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON calendar_day_period TO school_app;
