"""Broken on purpose: the communication worker with the mistake that BROKEN names.

`python -m tests.chaos.broken.communication worker`
"""

import asyncio
import os
from datetime import date
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from services.communication.announcements import queries, rules, sending
from services.communication.announcements.schemas import Told
from services.communication.app import create_app
from services.communication.audiences.queries import AUDIENCE, parameters
from services.communication.audiences.rules import reach_of
from services.communication.audiences.schemas import Author
from services.communication.settings import Settings
from services.communication.worker import create_worker
from shared.commands import run
from shared.database import Database, Tx
from shared.outbox import publish
from shared.worker import Worker

BREATH_S = 0.15
"""Between two transactions that should have been one: as long as a very busy database takes."""

LIVE_PART: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
SELECT recipient.recipient_id, recipient.role, recipient.student_ids
FROM recipient
ORDER BY recipient.recipient_id
LIMIT %(limit)s OFFSET %(offset)s
"""
)


def publish_apart(database: Database) -> None:
    """A part is told before it is known to be told (mistake 9): killed in between, it is told again."""

    async def apart(_: Tx, data: msgspec.Struct, **how: Any) -> UUID:
        async with database.transaction(school_id=how["school_id"]) as tx:
            event_id = await publish(tx, data, **how)
        await asyncio.sleep(BREATH_S)
        return event_id

    sending.publish = apart


def resolve_each_part(_: Database) -> None:
    """The audience is not frozen: each part is cut out of what the audience is by then."""

    async def live(
        tx: Tx, *, school_id: UUID, announcement_id: UUID, author: Author, number: int, day: date
    ) -> list[Told]:
        await asyncio.sleep(BREATH_S)
        row = await queries.announcement(tx, school_id=school_id, announcement_id=announcement_id)
        assert row is not None
        audience = parameters(author, reach_of(row.rules), exclude=row.rules.exclude, day=day)
        offset = (number - 1) * rules.PART
        return await tx.all(Told, LIVE_PART, school_id=school_id, **audience, limit=rules.PART, offset=offset)

    queries.part = live


MISTAKES = {"publishing": publish_apart, "freezing": resolve_each_part}


def create_broken_worker(settings: Settings, database: Database) -> Worker:
    MISTAKES[os.environ["BROKEN"]](database)
    return create_worker(settings, database)


if __name__ == "__main__":
    run("communication", settings=Settings, create_app=create_app, create_worker=create_broken_worker)
