-- One-time codes: what lets a person in, or sets a password anew. Only their hashes are kept.

CREATE TABLE invite (
    school_id uuid NOT NULL,
    invite_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('school_admin', 'teacher', 'student', 'guardian')),
    person_id uuid,
    name text NOT NULL,
    email text NOT NULL,
    email_normalised text NOT NULL,
    code_hash text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, invite_id),
    CHECK ((role = 'school_admin') = (person_id IS NULL))
);

-- At most one open invite for each person, and for each address of an administrator.
CREATE UNIQUE INDEX invite_open_person ON invite (school_id, person_id)
WHERE accepted_at IS NULL AND person_id IS NOT NULL;
CREATE UNIQUE INDEX invite_open_admin ON invite (school_id, email_normalised)
WHERE accepted_at IS NULL AND person_id IS NULL;
CREATE INDEX invite_code ON invite (code_hash);

ALTER TABLE invite ENABLE ROW LEVEL SECURITY;
ALTER TABLE invite FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invite
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
-- Who holds the code may read the one invite it is for.
CREATE POLICY bearer ON invite FOR SELECT
USING (code_hash = (SELECT nullif(current_setting('app.capability', true), '')));
GRANT SELECT, INSERT, UPDATE ON invite TO auth_app;

-- Requests are taken without looking whether the address is known, so that the answer cannot tell (ADR 0402).
CREATE TABLE password_reset_request (
    request_id uuid PRIMARY KEY,
    email_normalised text NOT NULL,
    requested_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON password_reset_request TO auth_app;

CREATE TABLE password_reset (
    reset_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES account (user_id),
    code_hash text NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX password_reset_user ON password_reset (user_id);
CREATE INDEX password_reset_expires ON password_reset (expires_at);
GRANT SELECT, INSERT, DELETE ON password_reset TO auth_app;
