#!/bin/sh
# A schema, an owner role and an app role for each service. Postgres' image runs this once, when it makes its data
# directory; on a managed server run it by hand, with PGHOST, PGUSER, PGPASSWORD and the passwords of the roles set.
set -eu
sql="${SQL_DIRECTORY:-/sql}"
database="${POSTGRES_DB:-homeroom}"

run() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-${PGUSER:-postgres}}" --dbname "$database" "$@"
}

run --set database="$database" --file "$sql/database.sql"
for service in auth school academic communication notification; do
    prefix=$(printf %s "$service" | tr '[:lower:]' '[:upper:]')
    # Passwords come out of the environment: an argument could be read by every process of the machine.
    run --set database="$database" --set service="$service" --set owner="${service}_owner" --set app="${service}_app" <<SQL
\\getenv owner_password ${prefix}_OWNER_PASSWORD
\\getenv app_password ${prefix}_APP_PASSWORD
SELECT format('CREATE ROLE %I', role)
FROM (VALUES (:'owner'), (:'app')) AS wanted (role)
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role)
\\gexec
\\i $sql/service.sql
SQL
done
