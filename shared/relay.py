"""From the outbox to the bus: claims rows, publishes with confirmation, then marks them.

`FOR UPDATE SKIP LOCKED` lets any number of relays share the work and forgets no row, however late its transaction
commits; a cursor over ids or times would. A crash between publishing and marking publishes twice, and the consumers'
inboxes make that once (ADR 0302).
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog
from prometheus_client import Counter, Gauge
from psycopg import OperationalError

from shared.bus import Bus, BusError, Outgoing
from shared.cancellation import stop_if_cancelled
from shared.database import Database
from shared.problems import Unavailable

log = structlog.get_logger()

BATCH = 200
SWEEP_S = 1.0
"""How often the outbox is looked at when nobody calls."""
LONGEST_PAUSE_S = 10.0

PUBLISHED = Counter("homeroom_outbox_published_total", "Events published.")
AGE_SECONDS = Gauge("homeroom_outbox_age_seconds", "Age of the oldest event that is not published.")

# -- unscoped: the outbox has no tenant. Uses outbox_unpublished.
CLAIM = """
SELECT id, type, payload
FROM outbox
WHERE published_at IS NULL
ORDER BY created_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""

# -- unscoped: as above.
MARK = """
UPDATE outbox
SET published_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
"""

# -- unscoped: as above.
AGE = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
FROM outbox
WHERE published_at IS NULL
"""

# -- unscoped: as above; uses outbox_published. `now()`, as no index is searched for what may differ from row to row;
# an array, as what is IN a subquery may be joined to the whole table.
PRUNE_OUTBOX = """
DELETE FROM outbox
WHERE id = ANY(ARRAY(
    SELECT id
    FROM outbox
    WHERE published_at < now() - interval '7 days'
    ORDER BY published_at
    LIMIT 1000
))
"""

# -- unscoped: the inbox has no tenant. Kept longer than any event can wait for its delivery. Uses inbox_received.
PRUNE_INBOX = """
DELETE FROM inbox
WHERE event_id = ANY(ARRAY(
    SELECT event_id
    FROM inbox
    WHERE received_at < now() - interval '30 days'
    ORDER BY received_at
    LIMIT 1000
))
"""


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    type: str
    payload: bytes


class Relay:
    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._called = asyncio.Event()

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._publish())

    async def publish_batch(self) -> int:
        """Publish what waits, one batch of it; how many. Raises BusError, and then nothing is marked."""
        async with self._database.transaction() as tx:
            rows = await tx.all(OutboxRow, CLAIM, limit=BATCH)
            if rows:
                await self._bus.publish([Outgoing(id=str(row.id), type=row.type, payload=row.payload) for row in rows])
                await tx.execute(MARK, ids=[row.id for row in rows])
        PUBLISHED.inc(len(rows))
        return len(rows)

    async def measure(self) -> None:
        """How long the oldest event has waited."""
        AGE_SECONDS.set(await self._database.reader().value(float, AGE) or 0)

    async def prune(self) -> bool:
        """Forget what was published, or received, long ago; whether there is more."""
        async with self._database.transaction() as tx:
            pruned = await tx.execute(PRUNE_OUTBOX) + await tx.execute(PRUNE_INBOX)
        return pruned > 0

    async def _publish(self) -> None:
        pause_s = 0.1
        while True:
            stop_if_cancelled()
            self._called.clear()
            try:
                published = await self.publish_batch()
            except (BusError, OperationalError, Unavailable) as error:
                log.warning("relay_waits", error=type(error).__name__, seconds=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                continue
            pause_s = 0.1
            # Fewer than a batch is all there was; whoever commits later calls.
            if published < BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_S):
                        await self._called.wait()

    async def _listen(self) -> None:
        """Wake the publisher at each commit that holds an event; the sweep covers the time without a connection."""
        while True:
            stop_if_cancelled()
            with suppress(OperationalError, Unavailable):
                async with self._database.listen("outbox") as notifications:
                    async for _ in notifications:
                        self._called.set()
            await asyncio.sleep(SWEEP_S)
