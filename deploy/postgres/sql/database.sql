-- Once for the database; may be repeated. Run by psql here, and by `tools.embedded.postgres` for `make run` and tests.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
