-- Sessions, the tokens that prolong them, and the keys that sign what is short-lived (ADR 0401).

CREATE TABLE session (
    session_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES account (user_id),
    -- Of which membership the tokens are; none for a platform admin. Read again at each refresh.
    membership_id uuid,
    generation int NOT NULL DEFAULT 1,
    -- The current refresh token, sealed: told again to who lost the answer that held it.
    sealed_token text NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE INDEX session_account ON session (user_id) WHERE revoked_at IS NULL;
CREATE INDEX session_membership ON session (membership_id) WHERE revoked_at IS NULL;
CREATE INDEX session_revoked ON session (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX session_used ON session (used_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON session TO auth_app;

CREATE TABLE refresh_token (
    -- SHA-256: the token has 256 random bits, so a slow hash would add nothing.
    token_hash text PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES session (session_id) ON DELETE CASCADE,
    generation int NOT NULL
);

CREATE INDEX refresh_token_session ON refresh_token (session_id);
GRANT SELECT, INSERT, DELETE ON refresh_token TO auth_app;

CREATE TABLE signing_key (
    kid text PRIMARY KEY,
    public_key text NOT NULL,
    sealed_private_key text NOT NULL,
    created_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON signing_key TO auth_app;
