-- Events that have had their effect, written in the transaction of that effect.

CREATE TABLE inbox (
    event_id uuid PRIMARY KEY,
    type text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX inbox_received ON inbox (received_at);

GRANT SELECT, INSERT, DELETE ON inbox TO {app_role};
