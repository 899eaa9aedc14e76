-- How a school writes dates, and how front ends show that it is this school.

ALTER TABLE school
    ADD COLUMN locale text NOT NULL DEFAULT 'en-GB',
    ADD COLUMN brand_colour text,
    ADD COLUMN logo_url text;
ALTER TABLE school ADD CONSTRAINT school_locale CHECK (locale ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$') NOT VALID;
ALTER TABLE school ADD CONSTRAINT school_brand_colour CHECK (brand_colour ~ '^#[0-9a-f]{6}$') NOT VALID;
ALTER TABLE school ADD CONSTRAINT school_logo_url CHECK (
    starts_with(logo_url, 'https://') AND length(logo_url) <= 500
) NOT VALID;
