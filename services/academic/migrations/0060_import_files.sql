-- A roster file holds all people of a district: it goes some days after its import came to rest, and is told so here
-- before. What has none any more is not applied again.
ALTER TABLE import_job ADD COLUMN file_removed_at timestamptz;
