-- Imports of a whole district. They stand above the schools, so these tables have no tenant; no personal data either.

CREATE TABLE import_job (
    id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN (
        'checking',  -- uploaded, a worker reads it; → checked or rejected
        'rejected',  -- the file is broken, `row_errors` says where; nothing was changed
        'checked',   -- the dry run is done, `report` says what would change; → applying
        'applying',  -- a worker applies it; → applied, or failed with nothing changed
        'applied',
        'failed'     -- `problem` says why; → applying, when asked again
    )),
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    is_confirmed boolean NOT NULL DEFAULT false,
    steps_done int NOT NULL DEFAULT 0,
    steps_total int NOT NULL DEFAULT 0,
    step text NOT NULL DEFAULT '',
    report jsonb,
    row_errors jsonb NOT NULL DEFAULT '[]',
    row_error_count int NOT NULL DEFAULT 0,
    problem text,
    -- A worker that dies leaves the job; another takes it up when the lease is over. `attempt` fences off the first.
    attempt int NOT NULL DEFAULT 0,
    lease_until timestamptz
);

CREATE INDEX import_job_open ON import_job (created_at) WHERE state IN ('checking', 'applying');
GRANT SELECT, INSERT, UPDATE ON import_job TO academic_app;

-- What a district's roster file calls its organisations, and which school each is here.
CREATE TABLE roster_org (
    district_sourced_id text NOT NULL,
    sourced_id text NOT NULL,
    name text NOT NULL,
    school_id uuid,
    PRIMARY KEY (district_sourced_id, sourced_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON roster_org TO academic_app;
