"""Telling others: the event is a row in the transaction of the change, so that neither can be without the other."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from shared import clock, telemetry
from shared.contracts.envelope import Envelope, event_type
from shared.database import Tx
from shared.ids import new_id

# -- unscoped: the outbox has no tenant. One NOTIFY per transaction reaches the relay, however many events.
ADD_EVENTS = """
WITH added AS (
    INSERT INTO outbox (id, type, payload)
    SELECT id, type, payload
    FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(payloads)s::bytea[]) AS event (id, type, payload)
    RETURNING id
)
SELECT pg_notify(current_schema() || '_outbox', '')
FROM added
LIMIT 1
"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, to which aggregate, as its how manieth version."""

    data: msgspec.Struct
    subject: str
    version: int


async def publish(tx: Tx, data: msgspec.Struct, *, school_id: UUID | None, subject: str, version: int) -> UUID:
    """Tell of one change; the id of the event."""
    ids = await publish_all(tx, [Event(data=data, subject=subject, version=version)], school_id=school_id)
    return ids[0]


async def publish_all(tx: Tx, events: Sequence[Event], *, school_id: UUID | None) -> list[UUID]:
    """Tell of many changes of one school in one statement."""
    if not events:
        return []
    envelopes = [envelope(event, school_id) for event in events]
    await tx.execute(
        ADD_EVENTS,
        ids=[each.id for each in envelopes],
        types=[each.type for each in envelopes],
        payloads=[msgspec.json.encode(each) for each in envelopes],
    )
    return [each.id for each in envelopes]


def envelope(event: Event, school_id: UUID | None) -> Envelope:
    type_ = event_type(type(event.data))
    return Envelope(
        id=new_id(),
        source=f"homeroom/{type_.partition('.')[0]}",
        type=type_,
        time=clock.now(),
        subject=event.subject,
        version=event.version,
        schoolid=school_id,
        traceparent=telemetry.traceparent(),
        data=msgspec.Raw(msgspec.json.encode(event.data)),
    )
