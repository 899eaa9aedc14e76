"""A streaming replica of an embedded Postgres, made by `pg_basebackup`."""

from pathlib import Path

import psycopg

from tools.embedded.postgres import BINARIES, EmbeddedPostgres


class EmbeddedReplica(EmbeddedPostgres):
    """Follows `primary`, which must run when this is first started."""

    def __init__(self, directory: Path, primary: EmbeddedPostgres, *, durable: bool = True) -> None:
        super().__init__(directory, durable=durable)
        self._primary = primary

    def pause(self) -> None:
        """Let it receive, and show nothing of it."""
        self._ask("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        self._ask("SELECT pg_wal_replay_resume()")

    def _ask(self, statement: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _new_password(self) -> str:
        return self._primary.password

    def _making(self, directory: Path) -> list[str | Path]:
        return [
            *(BINARIES / "pg_basebackup", "-D", directory, f"--dbname={self._primary.admin_url}"),
            *("--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync"),
        ]
