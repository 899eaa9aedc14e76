#!/bin/sh
# What a streaming replica needs of its primary: a role, a slot that keeps what it has not read yet, and a way in.
set -eu
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password REPLICATION_PASSWORD
SELECT 'CREATE ROLE replicator' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'replicator')
\gexec
ALTER ROLE replicator LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SELECT pg_create_physical_replication_slot('replica', true)
WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = 'replica');
SQL
# `all` in pg_hba.conf does not mean replication.
echo "host replication replicator all scram-sha-256" >>"$PGDATA/pg_hba.conf"
