-- The rooms of a school, by name.

CREATE TABLE room (
    school_id uuid NOT NULL,
    room_id uuid NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (school_id, room_id),
    CONSTRAINT room_name UNIQUE (school_id, name),
    FOREIGN KEY (school_id) REFERENCES school (school_id)
);

ALTER TABLE room ENABLE ROW LEVEL SECURITY;
ALTER TABLE room FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON room
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT ON room TO school_app;
