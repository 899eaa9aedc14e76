"""The part of a service that is not asked: reactions to others' events, the relay of its own, and what is due.

A reaction gets an open transaction whose tenant is the event's school and in which the inbox already knows the event:
its effect and the knowledge that it was had are one. It never does HTTP.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar

import msgspec
import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram

from shared import telemetry
from shared.bus import BusError, Outcome, bus_at
from shared.cancellation import stop_if_cancelled
from shared.contracts.envelope import Envelope, event_type
from shared.database import Database, Tx
from shared.idempotency import forget_old
from shared.relay import Relay

log = structlog.get_logger()

EventT = TypeVar("EventT", bound=msgspec.Struct)
React = Callable[[Tx, EventT, Envelope], Awaitable[None]]

CONSUMED = Counter("homeroom_events_consumed_total", "Events handled.", ("service", "type", "outcome"))
CONSUMED_SECONDS = Histogram(
    "homeroom_event_seconds", "Time to handle an event.", ("service", "type"), buckets=telemetry.SECONDS
)
TASKS_FAILED = Counter(
    "homeroom_tasks_failed_total", "Rounds of what a worker does by itself that ended in an error.", ("service", "task")
)
DEAD_LETTERS = Gauge("homeroom_dead_letters", "Events of a service that could not be handled.", ("service",))
MEASURE_S = 5.0
COUNT_DEAD_LETTERS_S = 15.0

# -- unscoped: the inbox has no tenant.
ENTER = """
INSERT INTO inbox (event_id, type)
VALUES (%(event_id)s, %(type)s)
ON CONFLICT (event_id) DO NOTHING
"""


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    event: type[msgspec.Struct]
    react: React[Any]


def on(event: type[EventT], react: React[EventT]) -> Reaction:
    """`react` to each event of that type."""
    return Reaction(event=event, react=react)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]


def every(seconds: float, name: str, run: Callable[[], Awaitable[object]]) -> Task:
    """Call `run` again and again, `seconds` after it ended; at once when it says that there is more to do."""
    return Task(name=name, seconds=seconds, run=run)


class Worker:
    """Runs until cancelled. The database is opened and closed by whoever made it."""

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        bus_url: str,
        reactions: Sequence[Reaction],
        tasks: Sequence[Task] = (),
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
    ) -> None:
        """`resources` are opened when the worker runs, and closed in reverse."""
        self.name = name
        self.database = database
        self.bus = bus_at(bus_url)
        self._reactions = {event_type(reaction.event): reaction for reaction in reactions}
        relay = Relay(database, self.bus)
        self._relay = relay
        self._resources = resources
        self._tasks = [
            *tasks,
            every(60.0, "prune", relay.prune),
            every(60.0, "forget_keys", partial(forget_old, database)),
            every(MEASURE_S, "measure_outbox", relay.measure),
            *([every(COUNT_DEAD_LETTERS_S, "count_dead_letters", self.count_dead_letters)] if reactions else []),
        ]

    @property
    def event_types(self) -> list[str]:
        """What this worker listens to."""
        return sorted(self._reactions)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Self]:
        """With its resources, for who hands it events one by one; `run` opens them by itself."""
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self.bus.close)
            for resource in self._resources:
                await opened.enter_async_context(resource)
            yield self

    async def run(self) -> None:
        async with self.opened(), asyncio.TaskGroup() as group:
            group.create_task(self._relay.run())
            if self._reactions:
                group.create_task(self._consume())
            for task in self._tasks:
                group.create_task(self._repeat(task))

    async def count_dead_letters(self) -> None:
        """For the metrics; while the bus is away the last count stands."""
        try:
            DEAD_LETTERS.labels(self.name).set(await self.bus.count_dead_letters(self.name))
        except BusError as error:
            log.debug("dead_letters_not_counted", error=str(error))

    async def handle(self, payload: bytes) -> Outcome:
        """Handle one delivery; never raises, but for a cancellation."""
        started = time.perf_counter()
        try:
            envelope = msgspec.json.decode(payload, type=Envelope)
            reaction = self._reactions[envelope.type]
            event = msgspec.json.decode(envelope.data, type=reaction.event)
        except (msgspec.DecodeError, KeyError, UnicodeDecodeError) as error:
            log.error("event_unreadable", error=type(error).__name__)  # noqa: TRY400 (the text may hold names)
            CONSUMED.labels(self.name, "unknown", Outcome.DEAD.value).inc()
            return Outcome.DEAD
        with telemetry.span(f"consume {envelope.type}", SpanKind.CONSUMER, envelope.traceparent):
            outcome = await self._react(event, envelope)
            seconds = time.perf_counter() - started
            CONSUMED.labels(self.name, envelope.type, outcome.value).inc()
            CONSUMED_SECONDS.labels(self.name, envelope.type).observe(seconds)
            log.info("event", type=envelope.type, outcome=outcome.value, ms=round(seconds * 1000, 1))
        return outcome

    async def apply(self, event: msgspec.Struct, envelope: Envelope) -> bool:
        """The effect of an event, once: False when it was had before."""
        async with self.database.transaction(school_id=envelope.schoolid) as tx:
            if await tx.execute(ENTER, event_id=envelope.id, type=envelope.type) == 0:
                return False
            await self._reactions[envelope.type].react(tx, event, envelope)
        return True

    async def _react(self, event: msgspec.Struct, envelope: Envelope) -> Outcome:
        try:
            await self.apply(event, envelope)
        except Exception as error:
            log.exception("event_failed", type=envelope.type, event_id=str(envelope.id), error=type(error).__name__)
            return Outcome.RETRY
        return Outcome.DONE

    async def _consume(self) -> None:
        while True:
            stop_if_cancelled()
            try:
                await self.bus.consume(self.name, list(self._reactions), self.handle)
            except BusError as error:
                log.warning("bus_lost", error=str(error))
                await asyncio.sleep(1.0)

    async def _repeat(self, task: Task) -> None:
        while True:
            stop_if_cancelled()
            more: object = False
            try:
                more = await task.run()
            except Exception as error:
                TASKS_FAILED.labels(self.name, task.name).inc()
                log.exception("task_failed", task=task.name, error=type(error).__name__)
            await asyncio.sleep(0 if more else task.seconds)
