"""Events in tests: handed to a worker as the bus would, or read out of an outbox."""

from uuid import UUID

import msgspec
import psycopg

from shared.bus import Outcome
from shared.contracts.envelope import Envelope
from shared.ids import new_id
from shared.outbox import Event, envelope
from shared.worker import Worker


def envelope_of(
    event: msgspec.Struct,
    *,
    school_id: UUID | None,
    version: int = 1,
    event_id: UUID | None = None,
    subject: str = "test",
) -> Envelope:
    made = envelope(Event(data=event, subject=subject, version=version), school_id)
    return msgspec.structs.replace(made, id=event_id or new_id())


async def deliver(
    worker: Worker,
    event: msgspec.Struct,
    *,
    school_id: UUID | None,
    version: int = 1,
    event_id: UUID | None = None,
    subject: str = "test",
) -> Outcome:
    """Hand one event over as the bus does: decoding, inbox, transaction and all."""
    delivered = envelope_of(event, school_id=school_id, version=version, event_id=event_id, subject=subject)
    return await worker.handle(msgspec.json.encode(delivered))


def published(database_url: str, school_id: UUID | None = None) -> list[Envelope]:
    """What stands in an outbox, oldest first; of one school, when it is given."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT payload FROM outbox ORDER BY created_at, id").fetchall()
    envelopes = [msgspec.json.decode(payload, type=Envelope) for (payload,) in rows]
    return [each for each in envelopes if school_id is None or each.schoolid == school_id]
