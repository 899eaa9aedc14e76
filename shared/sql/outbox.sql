-- Events on their way out, written in the transaction of the change they tell of.

CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);

CREATE INDEX outbox_unpublished ON outbox (created_at) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

GRANT SELECT, INSERT, DELETE, UPDATE (published_at) ON outbox TO {app_role};
