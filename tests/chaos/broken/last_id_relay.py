"""Broken on purpose: a relay that remembers the last id it has published (mistake 10: zombies).

`python -m tests.chaos.broken.last_id_relay worker`; the id is kept in LAST_ID_FILE, after the publishing.
"""

import os
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from services.academic.app import create_app
from services.academic.settings import Settings
from services.academic.worker import create_worker
from shared.bus import Outgoing
from shared.commands import run
from shared.database import Database
from shared.relay import BATCH, OutboxRow, Relay
from shared.worker import Worker

AFTER: LiteralString = """
SELECT id, type, payload FROM outbox WHERE id > %(last)s ORDER BY id LIMIT %(limit)s
"""


class LastIdRelay(Relay):
    _remembered = Path(os.environ["LAST_ID_FILE"])

    async def publish_batch(self) -> int:
        last = UUID(self._remembered.read_text()) if self._remembered.exists() else UUID(int=0)
        async with self._database.transaction() as tx:
            rows = await tx.all(OutboxRow, AFTER, last=last, limit=BATCH)
        if rows:
            await self._bus.publish([Outgoing(id=str(row.id), type=row.type, payload=row.payload) for row in rows])
            unfinished = self._remembered.with_suffix(".unfinished")
            unfinished.write_text(str(rows[-1].id))
            unfinished.rename(self._remembered)
        return len(rows)


def create_broken_worker(settings: Settings, database: Database) -> Worker:
    worker = create_worker(settings, database)
    worker._relay = LastIdRelay(database, worker.bus)
    return worker


if __name__ == "__main__":
    run("academic", settings=Settings, create_app=create_app, create_worker=create_broken_worker)
