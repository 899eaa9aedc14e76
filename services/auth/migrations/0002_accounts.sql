-- Logins belong to people, not to schools; what ties a login to a school is a membership.

CREATE TABLE account (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    email_normalised text NOT NULL UNIQUE,
    name text NOT NULL,
    password_hash text NOT NULL,
    must_change_password boolean NOT NULL DEFAULT false,
    is_platform_admin boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON account TO auth_app;

CREATE TABLE membership (
    school_id uuid NOT NULL,
    membership_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('school_admin', 'teacher', 'student', 'guardian')),
    person_id uuid,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (school_id, membership_id),
    CONSTRAINT membership_account FOREIGN KEY (user_id) REFERENCES account (user_id),
    CHECK ((role = 'school_admin') = (person_id IS NULL))
);

CREATE UNIQUE INDEX membership_login ON membership (school_id, user_id, role, person_id) NULLS NOT DISTINCT;
CREATE INDEX membership_person ON membership (school_id, person_id);
CREATE INDEX membership_user ON membership (user_id, membership_id);

ALTER TABLE membership ENABLE ROW LEVEL SECURITY;
ALTER TABLE membership FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON membership
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
-- One's own memberships, at every school: a login chooses among them before it has a tenant.
CREATE POLICY own ON membership FOR SELECT
USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON membership TO auth_app;

-- The names of one's own schools.
CREATE POLICY own ON school FOR SELECT
USING (school_id IN (
    SELECT membership.school_id
    FROM membership
    WHERE membership.user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)
));
