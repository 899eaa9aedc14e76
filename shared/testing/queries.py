"""What a test's own process asks the database."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from shared import database, transactions
from shared import statements as low
from shared.cache import Cache, Cached, Load

READ: Final = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)\b(?!\s*\()")
OF_THE_HOUSE: Final = frozenset({"tenant"})


@contextmanager
def statements() -> Generator[list[str]]:
    """The SQL of each call to the database meanwhile, in the order in which they were made."""
    seen: list[str] = []
    execute = low.execute

    async def recorded(connection: Any, sql: str, params: Any) -> Any:
        seen.append(sql)
        return await execute(connection, sql, params)

    with pytest.MonkeyPatch.context() as patched:
        for module in (low, transactions, database):
            patched.setattr(module, "execute", recorded)
        yield seen


@contextmanager
def readings() -> Generator[list[tuple[Cached, frozenset[str]]]]:
    """Each reading that a cache asked for meanwhile, one at a time, with the tables that it really read."""
    found: list[tuple[Cached, frozenset[str]]] = []
    read: Any = vars(Cache)["_read"]

    async def recorded(self: Cache, kind: Cached, name: bytes, stamp: bytes, load: Load) -> bytes:
        with statements() as seen:
            body = await read(self, kind, name, stamp, load)
        tables = frozenset(table for sql in seen for table in READ.findall(sql))
        found.append((kind, tables - OF_THE_HOUSE))
        return body

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Cache, "_read", recorded)
        yield found
