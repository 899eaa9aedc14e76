-- The bells of a special day, as the school service told them; null where they are those of its weekday.

ALTER TABLE calendar_day ADD COLUMN periods jsonb;
