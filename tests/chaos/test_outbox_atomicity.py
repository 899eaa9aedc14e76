"""Bar B6: what was committed is told, and nothing else, whoever is killed in the middle of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from shared.bus import BusError, Outcome, bus_at
from shared.contracts.academic import StudentChanged
from shared.contracts.envelope import Envelope, event_type
from shared.ids import new_id
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import Account, Broker, Victims, account, chance, python, quiet, scaled, until

pytestmark = pytest.mark.chaos

RELAY_KILLS = 8
WRITER_KILLS = 6
BROKER_KILLS = 2
ENOUGH = 500


class Audit:
    """Consumes as a service would, and remembers every delivery of a school's students, by name."""

    def __init__(self, bus_url: str, school_id: UUID) -> None:
        self.seen: Counter[str] = Counter()
        self.event_ids: set[UUID] = set()
        self._school_id = school_id
        self._bus = bus_at(bus_url, concurrency=16)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._listen())
        # RabbitMQ 3.10 writes the name of a new queue to disk up to half a second after it was declared.
        await asyncio.sleep(3)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._bus.close()

    async def _listen(self) -> None:
        while True:
            with suppress(BusError):
                await self._bus.consume("audit", [event_type(StudentChanged)], self._hear)
            await asyncio.sleep(0.2)

    async def _hear(self, payload: bytes) -> Outcome:
        envelope = msgspec.json.decode(payload, type=Envelope)
        if envelope.schoolid == self._school_id:
            self.seen[msgspec.json.decode(envelope.data, type=StudentChanged).given_name] += 1
            self.event_ids.add(envelope.id)
        return Outcome.DONE


class Trial:
    """Eight writers in two processes, and relays, until all kills are done and everything has come to rest."""

    def __init__(self, stack: OwnStack, broker: Broker, directory: Path) -> None:
        self.school_id = new_id()
        self.stack = stack
        self.broker = broker
        self.audit = Audit(broker.url, self.school_id)
        self._directory = directory
        self._env = {**stack.service_env("academic"), "BUS_URL": broker.url}

    def writers(self, module: str = "tests.chaos.writer") -> Victims:
        return self._victims("writer", lambda n: (module, str(self.school_id), self._log(n)), count=2)

    def relays(self, module: str = "services.academic", *, count: int = 2, **env: str) -> Victims:
        return self._victims("relay", lambda _: (module, "worker"), count=count, **env)

    async def run(
        self, writers: Victims, relays: Victims, *, broker_kills: int, share: float = 1.0, quiet_s: float = 25.0
    ) -> Account:
        dice = chance()
        async with self.audit.listening():
            try:
                writers.start()
                relays.start()
                await until(lambda: len(self.audit.seen) > 0, "the first event")
                async with asyncio.TaskGroup() as chaos:
                    chaos.create_task(writers.kill_at_random(scaled(WRITER_KILLS * share), dice, within_s=2.0))
                    chaos.create_task(relays.kill_at_random(scaled(RELAY_KILLS * share), dice, within_s=1.0))
                    chaos.create_task(self.broker.kill_at_random(broker_kills, dice, apart_s=(2.0, 5.0)))
                writers.stop()
                committed = self.committed()
                await quiet(lambda: self.audit.seen.keys() >= committed, self.audit.seen.total, quiet_s=quiet_s)
            finally:
                writers.stop()
                relays.stop()
        note = f"kills: {writers.kills} of writers, {relays.kills} of relays, {self.broker.kills} of the broker"
        return account(
            attempted=self._logged("attempt"),
            acknowledged=self._logged("acknowledge"),
            expected=committed,
            seen=self.audit.seen,
            note=note,
        )

    def committed(self) -> set[str]:
        """The students that there are."""
        with psycopg.connect(self.stack.admin_url) as connection:
            rows = connection.execute("SELECT given_name FROM academic.student WHERE school_id = %s", (self.school_id,))
            return {name for (name,) in rows}

    def outbox(self) -> dict[UUID, bool]:
        """The events that there are, and whether each is known to be published."""
        with psycopg.connect(self.stack.admin_url) as connection:
            return dict(connection.execute("SELECT id, published_at IS NOT NULL FROM academic.outbox").fetchall())

    def _victims(self, name: str, argv: Callable[[int], Sequence[str | Path]], *, count: int, **env: str) -> Victims:
        processes = [
            python(f"{name} {n}", *argv(n), log=self._directory / f"{name}-{n}.log", env={**self._env, **env})
            for n in range(count)
        ]
        return Victims(processes, database_port=self.stack.postgres_port)

    def _log(self, number: int) -> Path:
        return self._directory / f"writer-{number}.attempts"

    def _logged(self, what: str) -> set[str]:
        lines = [line.split() for n in range(2) for line in self._log(n).read_text().splitlines()]
        return {line[1] for line in lines if line[0] == what}


async def test_what_is_committed_is_published_and_nothing_else(
    own_stack: OwnStack, broker: Broker, tmp_path: Path
) -> None:
    trial = Trial(own_stack, broker, tmp_path)

    found = await trial.run(trial.writers(), trial.relays(), broker_kills=scaled(BROKER_KILLS))

    print(found)
    outbox = trial.outbox()
    assert found.is_exact, found
    assert trial.audit.event_ids == outbox.keys(), found
    assert all(outbox.values()), found
    # The trial has hit something: there was a load, and some of it was given up half-way.
    assert found.acknowledged > scaled(ENOUGH), found
    assert found.attempted > found.acknowledged + found.recovered, found


async def test_control_a_relay_that_remembers_the_last_id_loses_events(
    own_stack: OwnStack, quick_broker: Broker, tmp_path: Path
) -> None:
    trial = Trial(own_stack, quick_broker, tmp_path)
    relays = trial.relays("tests.chaos.broken.last_id_relay", count=1, LAST_ID_FILE=str(tmp_path / "last-id"))

    found = await trial.run(trial.writers(), relays, broker_kills=0, share=0.4, quiet_s=5.0)

    print(found)
    assert found.lost, found


async def test_control_a_writer_that_publishes_before_the_commit_makes_ghosts(
    own_stack: OwnStack, quick_broker: Broker, tmp_path: Path
) -> None:
    trial = Trial(own_stack, quick_broker, tmp_path)

    found = await trial.run(
        trial.writers("tests.chaos.broken.ghost_writer"), trial.relays(), broker_kills=0, share=0.4, quiet_s=5.0
    )

    print(found)
    assert found.unexpected, found
