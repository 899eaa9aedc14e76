-- How the school writes dates, times and lists.

ALTER TABLE school ADD COLUMN locale text NOT NULL DEFAULT 'en-GB';
