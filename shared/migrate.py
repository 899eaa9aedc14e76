"""Plain-SQL migrations: `services/<service>/migrations/0001_<idea>.sql`, forward only.

The files of `shared/sql` (outbox, inbox) come first, as migration 0000 of every service. Each file is one
transaction under an advisory lock, with a lock timeout of 4 s and a statement timeout of 60 s, unless its first
line is `-- no transaction` (for CREATE INDEX CONCURRENTLY): then it takes as long as it takes, and an index that an
earlier attempt left half built is dropped first. A file that changed after it was applied is refused.
"""

import hashlib
from pathlib import Path
from typing import LiteralString, cast

import msgspec
import structlog
from psycopg import Connection, connect
from psycopg.sql import SQL, Identifier

log = structlog.get_logger()

SHARED_SQL = Path(__file__).parent / "sql"

CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

HALF_BUILT = """
SELECT pg_class.relname
FROM pg_index
JOIN pg_class ON pg_class.oid = pg_index.indexrelid
WHERE NOT pg_index.indisvalid
AND pg_class.relnamespace = current_schema()::regnamespace
ORDER BY pg_class.relname
"""


class MigrationError(Exception):
    """A migration changed after it was applied, or two share a number."""


class Migration(msgspec.Struct, frozen=True):
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not self.sql.startswith("-- no transaction")


class MigrateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_owner_url` connects as the owner role of the service's schema."""

    database_owner_url: str


def migrate(service: str, *, owner_url: str, directory: Path | None = None) -> list[str]:
    """Bring the schema of `service` up to date; the names of what was applied now."""
    migrations = read_migrations(service, directory or _migrations_of(service))
    with connect(owner_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '4s'")
        connection.execute("SET statement_timeout = '60s'")
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (f"migrate:{service}",))
        connection.execute(CREATE_LEDGER)
        applied = dict(connection.execute("SELECT name, checksum FROM schema_migration").fetchall())
        pending = [migration for migration in migrations if _is_pending(migration, applied)]
        for migration in pending:
            _apply(connection, migration)
            log.info("migration_applied", service=service, migration=migration.name)
    return [migration.name for migration in pending]


def read_migrations(service: str, directory: Path) -> list[Migration]:
    """The shared tables, then the service's own files in order of their number."""
    shared = [
        Migration(f"0000_{path.stem}", path.read_text().replace("{app_role}", f"{service}_app"))
        for path in sorted(SHARED_SQL.glob("*.sql"))
    ]
    own = [Migration(path.stem, path.read_text()) for path in sorted(directory.glob("*.sql"))]
    numbers = [migration.name[:4] for migration in own]
    if len(set(numbers)) != len(numbers):
        raise MigrationError(f"{service}: two migrations share a number")
    return shared + own


def _migrations_of(service: str) -> Path:
    return Path(__file__).parent.parent / "services" / service / "migrations"


def _is_pending(migration: Migration, applied: dict[str, str]) -> bool:
    checksum = applied.get(migration.name)
    if checksum is not None and checksum != migration.checksum:
        raise MigrationError(f"{migration.name} was changed after it was applied; write a new migration")
    return checksum is None


def _apply(connection: Connection, migration: Migration) -> None:
    if migration.in_transaction:
        with connection.transaction():
            _run(connection, migration)
    else:
        connection.execute("SET statement_timeout = 0")
        _drop_half_built(connection)
        _run(connection, migration)
        connection.execute("SET statement_timeout = '60s'")


def _drop_half_built(connection: Connection) -> None:
    """`IF NOT EXISTS` would pass over an index that is there and not valid, and nobody would ever use it."""
    for (name,) in connection.execute(HALF_BUILT).fetchall():
        connection.execute(SQL("DROP INDEX CONCURRENTLY {}").format(Identifier(name)))
        log.warning("half_built_index_dropped", index=name)


def _run(connection: Connection, migration: Migration) -> None:
    connection.execute(cast("LiteralString", migration.sql))
    connection.execute(
        "INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", (migration.name, migration.checksum)
    )
