"""Broken on purpose: tells the bus of a student before the student is committed (mistake 9: ghosts)."""

import os
from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.academic.people import actions
from shared.bus import Outgoing, bus_at
from shared.database import Tx
from shared.outbox import Event, envelope
from tests.chaos import writer

BUS = bus_at(os.environ["BUS_URL"])


async def publish_at_once(_: Tx, events: Sequence[Event], *, school_id: UUID | None) -> list[UUID]:
    envelopes = [envelope(event, school_id) for event in events]
    await BUS.publish(
        [Outgoing(id=str(each.id), type=each.type, payload=msgspec.json.encode(each)) for each in envelopes]
    )
    return [each.id for each in envelopes]


if __name__ == "__main__":
    actions.publish_all = publish_at_once
    writer.main()
