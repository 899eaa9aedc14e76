"""Bar B1: what the database's own catalogue says of tenancy, in every service. Nothing here is taken on trust."""

import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.testing.stack import Stack
from tools.topology import SERVICE_NAMES

TENANT = "(school_id = ( SELECT (NULLIF(current_setting('app.school_id'::text, true), ''::text))::uuid"

TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'school_id' AND a.attnotnull)
FROM pg_class c
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname
"""
POLICIES = """
SELECT tablename, policyname, permissive, cmd, qual, coalesce(with_check, qual)
FROM pg_policies WHERE schemaname = %s ORDER BY tablename, policyname
"""
KEYS = """
SELECT c.relname, k.conname, k.contype, a.attname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
WHERE k.connamespace = %s::regnamespace AND k.contype IN ('p', 'u', 'f', 'x')
ORDER BY c.relname, k.conname
"""
INDEXES = """
SELECT t.relname, i.relname, coalesce(a.attname, '(expression)')
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]
WHERE t.relnamespace = %s::regnamespace
"""
LEAKY = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND (
    c.relkind = 'm' OR (c.relkind = 'v' AND NOT coalesce(c.reloptions, '{}') @> '{security_invoker=true}')
)
UNION ALL
SELECT p.proname FROM pg_proc p WHERE p.pronamespace = %(schema)s::regnamespace AND p.prosecdef
"""
ROLE = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s"
OWNED = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = %s"
TRUNCATABLE = """
SELECT table_schema, table_name FROM information_schema.role_table_grants
WHERE grantee IN (%(role)s, 'PUBLIC') AND privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
AND table_schema = %(schema)s
"""
FOREIGN_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s) AND has_schema_privilege(%s, oid, 'USAGE')"


@pytest.fixture(params=SERVICE_NAMES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def admin(stack: Stack) -> Generator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        yield connection


def exempt_tables(service: str) -> dict[str, str]:
    """Tables without a tenant, each with the reason why; those of the house come first."""
    lists = [Path("shared/sql/exempt_tables.toml"), Path(f"services/{service}/tests/exempt_tables.toml")]
    read = [tomllib.loads(path.read_text()) for path in lists if path.exists()]
    return {table: entry["reason"] for each in read for table, entry in each.items()}


def deviations(admin: psycopg.Connection[Any], service: str) -> list[str]:
    """Everything in a service's schema that is not as the rules of tenancy want it."""
    exempt = exempt_tables(service)
    tables = admin.execute(TABLES, (service,)).fetchall()
    tenant_tables = {name for name, _, _, has_school in tables if has_school and name not in exempt}
    found = [f"{name} has no school_id and no reason" for name, _, _, has in tables if not has and name not in exempt]
    found += [
        f"{name} does not force RLS" for name, on, force, _ in tables if name in tenant_tables and not (on and force)
    ]
    policies = admin.execute(POLICIES, (service,)).fetchall()
    guarded = {
        table
        for table, _, permissive, command, using, check in policies
        if command == "ALL" and permissive == "PERMISSIVE" and TENANT in using and TENANT in check
    }
    found += [f"{name} has no policy of the tenant for all commands" for name in tenant_tables - guarded]
    found += [
        f"{table}.{key} does not start with school_id"
        for table, key, kind, first in admin.execute(KEYS, (service,))
        if table in tenant_tables and first != "school_id" and f"{table}.{key}" not in exempt
    ]
    found += [
        f"{table}: index {index} does not start with school_id"
        for table, index, first in admin.execute(INDEXES, (service,))
        if table in tenant_tables and first != "school_id" and f"{table}.{index}" not in exempt
    ]
    found += [f"{name} would see through RLS" for (name,) in admin.execute(LEAKY, {"schema": service})]
    return found


def test_every_table_is_walled_in_or_has_a_reason(admin: psycopg.Connection[Any], service: str) -> None:
    assert deviations(admin, service) == [], f"reasons stand in services/{service}/tests/exempt_tables.toml"


def test_every_reason_is_for_a_table_that_exists(admin: psycopg.Connection[Any], service: str) -> None:
    names = {row[0] for row in admin.execute(TABLES, (service,))}
    names |= {f"{row[0]}.{row[1]}" for row in admin.execute(KEYS, (service,))}
    names |= {f"{row[0]}.{row[1]}" for row in admin.execute(INDEXES, (service,))}

    assert set(exempt_tables(service)) <= names
    assert all(len(reason) > 20 for reason in exempt_tables(service).values())


def test_the_app_role_cannot_get_round_the_wall(admin: psycopg.Connection[Any], service: str) -> None:
    role = f"{service}_app"

    assert admin.execute(ROLE, (role,)).fetchone() == (False, False, False, False)
    assert admin.execute(OWNED, (role,)).fetchone() == (0,)
    assert admin.execute(TRUNCATABLE, {"role": role, "schema": service}).fetchall() == []


def test_no_service_reaches_into_another(admin: psycopg.Connection[Any], service: str) -> None:
    others = [other for other in SERVICE_NAMES if other != service]

    assert admin.execute(FOREIGN_SCHEMAS, (others, f"{service}_app")).fetchall() == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE TABLE bare (id uuid PRIMARY KEY)", "bare has no school_id and no reason"),
        ("CREATE TABLE bare (school_id uuid NOT NULL, PRIMARY KEY (school_id))", "bare does not force RLS"),
        (
            "CREATE TABLE bare (id uuid PRIMARY KEY, school_id uuid NOT NULL)",
            "bare.bare_pkey does not start with school_id",
        ),
        (
            "CREATE TABLE bare (school_id uuid PRIMARY KEY, name text); CREATE INDEX bare_name ON bare (name)",
            "bare: index bare_name does not start with school_id",
        ),
        ("CREATE VIEW bare AS SELECT school_id FROM school.bell_period", "bare would see through RLS"),
    ],
)
def test_control_a_careless_migration_is_found(
    stack: Stack, admin: psycopg.Connection[Any], statement: str, told: str
) -> None:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
        try:
            assert told in deviations(admin, "school")
        finally:
            owner.execute(f"DROP {'VIEW' if 'VIEW' in statement else 'TABLE'} bare")
