-- Files: what is known of them. Their bytes go from the browser to the object store and back, never through here.

CREATE TABLE file (
    school_id uuid NOT NULL,
    file_id uuid NOT NULL,
    uploader_id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 150),
    media_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    state text NOT NULL CHECK (state IN (
        'pending',  -- may be uploaded into quarantine; → ready or rejected, or gone when nobody completes it
        'ready',    -- judged and copied out of quarantine; → gone when nothing uses it for long
        'rejected'  -- not what it was said to be, `rejected_because` says how; → gone after a while
    )),
    -- The multipart upload that its parts belong to, as the store calls it; small files need none.
    upload_id text,
    -- Where the bytes are that were judged. Nobody was ever given a URL to write there (ADR 0901).
    object_key text,
    rejected_because text CHECK (rejected_because IN (
        'wrong_size', 'wrong_type', 'mixed_types', 'too_many_pixels', 'unpacks_too_large', 'has_macros'
    )),
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (school_id, file_id),
    CHECK ((state = 'ready') = (object_key IS NOT NULL)),
    CHECK ((state = 'rejected') = (rejected_because IS NOT NULL)),
    CHECK ((state = 'pending') = (settled_at IS NULL))
);

CREATE INDEX file_uploader ON file (school_id, uploader_id, file_id);

-- What a file hangs on: it can be deleted only when nothing does. Other rooms write it in their own transactions.
CREATE TABLE file_use (
    school_id uuid NOT NULL,
    file_id uuid NOT NULL,
    used_by_kind text NOT NULL,
    used_by_id uuid NOT NULL,
    position int NOT NULL,
    PRIMARY KEY (school_id, file_id, used_by_kind, used_by_id),
    FOREIGN KEY (school_id, file_id) REFERENCES file (school_id, file_id)
);

CREATE INDEX file_use_user ON file_use (school_id, used_by_kind, used_by_id, position);

-- The sum of a school's pending and ready files; its row is what parallel uploads of a school wait for.
CREATE TABLE file_usage (
    school_id uuid PRIMARY KEY,
    used_bytes bigint NOT NULL CHECK (used_bytes >= 0)
);

ALTER TABLE file ENABLE ROW LEVEL SECURITY;
ALTER TABLE file FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON file
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE, UPDATE (state, upload_id, object_key, rejected_because, settled_at)
    ON file TO communication_app;

ALTER TABLE file_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE file_use FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON file_use
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE, UPDATE (position) ON file_use TO communication_app;

ALTER TABLE file_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE file_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON file_usage
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
    WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE (used_bytes) ON file_usage TO communication_app;
