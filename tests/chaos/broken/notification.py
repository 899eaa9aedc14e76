"""Broken on purpose: the notification worker with the mistake that BROKEN names.

`python -m tests.chaos.broken.notification worker`
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.notification.alerts import actions, telling
from services.notification.alerts.schemas import AlertRow
from services.notification.alerts.telling import Teller
from services.notification.app import create_app
from services.notification.settings import Settings
from services.notification.worker import create_worker
from shared.commands import run
from shared.contracts.envelope import Envelope
from shared.database import Database, Tx
from shared.ids import new_id
from shared.worker import ENTER, Worker

BREATH_S = 0.15
"""Between two transactions that should have been one: as long as a very busy database takes."""


def commit_inbox_first(worker: Worker) -> None:
    """The event is known before its effect is had (mistake 16): killed in between, the effect never comes."""

    async def apply(event: msgspec.Struct, envelope: Envelope) -> bool:
        async with worker.database.transaction() as tx:
            if await tx.execute(ENTER, event_id=envelope.id, type=envelope.type) == 0:
                return False
        await asyncio.sleep(BREATH_S)
        async with worker.database.transaction(school_id=envelope.schoolid) as tx:
            await worker._reactions[envelope.type].react(tx, event, envelope)
        return True

    worker.apply = apply


def tell_first(worker: Worker) -> None:
    """Guardians are told before the alert is known as sent (mistake 17), and without a key that says it is the same."""
    tell_alerts = Teller.tell_alerts

    async def tell_apart(
        self: Teller, _: Tx, school_id: UUID, alerts: Sequence[tuple[AlertRow, Any]], *, locale: str
    ) -> None:
        async with worker.database.transaction(school_id=school_id) as tx:
            await tell_alerts(self, tx, school_id, alerts, locale=locale)
        await asyncio.sleep(2 * BREATH_S)

    Teller.tell_alerts = tell_apart
    telling.idempotency_key = lambda row: f"absence:{row.student_id}:{row.day}:{new_id()}"
    actions.BATCH = 10


MISTAKES = {"inbox": commit_inbox_first, "telling": tell_first}


def create_broken_worker(settings: Settings, database: Database) -> Worker:
    worker = create_worker(settings, database)
    MISTAKES[os.environ["BROKEN"]](worker)
    return worker


if __name__ == "__main__":
    run("notification", settings=Settings, create_app=create_app, create_worker=create_broken_worker)
