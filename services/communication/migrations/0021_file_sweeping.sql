-- What the worker has to look for in all schools: ids and instants only, without a tenant (ADR 0803).

-- When a file is to be looked at again: was it completed, is it used?
CREATE TABLE file_due (
    school_id uuid NOT NULL,
    file_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, file_id)
);

CREATE INDEX file_due_at ON file_due (due_at, school_id, file_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON file_due TO communication_app;

-- Objects that are to go. A copy is entered before it is made, and withdrawn by the transaction that makes it good.
CREATE TABLE object_removal (
    object_key text PRIMARY KEY,
    upload_id text,
    due_at timestamptz NOT NULL,
    -- Above 0 once a worker has laid hands on it: from then on it can no longer be withdrawn.
    attempt int NOT NULL DEFAULT 0
);

CREATE INDEX object_removal_due ON object_removal (due_at, object_key);
GRANT SELECT, INSERT, UPDATE, DELETE ON object_removal TO communication_app;

-- How far the look through the whole bucket is, for objects that no row knows; one row, one worker at a time.
CREATE TABLE bucket_sweep (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    position text NOT NULL,
    due_at timestamptz NOT NULL
);

INSERT INTO bucket_sweep (position, due_at) VALUES ('', '2000-01-01T00:00:00Z');
GRANT SELECT, UPDATE ON bucket_sweep TO communication_app;
