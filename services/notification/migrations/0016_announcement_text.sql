-- Announcements change after they were told: whoever keeps a copy of their text follows.

ALTER TABLE announcement
-- Of the newest change that was heard of; 0 and no text while none was.
ADD COLUMN version bigint NOT NULL DEFAULT 0,
ADD COLUMN edition int,
ADD COLUMN title text,
ADD COLUMN body text,
ADD COLUMN expires_at timestamptz;

ALTER TABLE notification
-- Of an announcement: who was told a later one is mailed that and no earlier one.
ADD COLUMN edition int,
-- From then on it is neither listed nor sent.
ADD COLUMN expires_at timestamptz;
GRANT UPDATE (title, body, expires_at) ON notification TO notification_app;
