-- Every school there is passes the checks of the file before: it has the default locale, and no brand.

ALTER TABLE school VALIDATE CONSTRAINT school_locale;
ALTER TABLE school VALIDATE CONSTRAINT school_brand_colour;
ALTER TABLE school VALIDATE CONSTRAINT school_logo_url;
