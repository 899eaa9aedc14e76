"""A real streaming replica, paused, killed and frozen: who wrote reads it, and nobody meets a 5xx (ADR 0202)."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import redis

from services.academic.app import create_app
from services.academic.worker import create_worker
from shared.bus import Outcome
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.identity import Role
from shared.ids import new_id
from shared.marks import Marks
from shared.replica import READS, Asker, serve
from shared.settings import ServiceSettings
from shared.testing.bus import deliver
from shared.testing.http import client_of
from shared.testing.tokens import Tokens
from shared.web.app import litestar_of
from shared.worker import Worker
from tests.chaos.test_keyed_requests import Api, started
from tests.replica.conftest import BOUND_S, Pair

TO_SEE = 2
"""Statements that `User.sees` needs."""


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """Stop a server with all its children, as if its machine were gone."""
    group = os.getpgid(pid)
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def from_replica() -> float:
    return READS.labels("replica", "")._value.get()


class User:
    """An administrator of a school, who comes in through any of the processes."""

    def __init__(self, tokens: Tokens, clients: list[httpx.AsyncClient], school_id: UUID) -> None:
        self._headers = tokens.headers(Role.SCHOOL_ADMIN, school_id=school_id, user_id=new_id())
        self._clients = clients

    async def adds(self, process: int = 0, **headers: str) -> str:
        answer = await self._clients[process].post(
            "/api/v1/students", json={"given_name": "Ada"}, headers=self._headers | headers
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def made(self, path: str, **body: object) -> dict[str, Any]:
        answer = await self._clients[0].post(f"/api/v1{path}", json=body, headers=self._headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def changed(self, path: str, **body: object) -> None:
        answer = await self._clients[0].patch(f"/api/v1{path}", json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text

    async def sees(self, student_id: str, process: int = 1) -> bool:
        answer = await self._clients[process].get("/api/v1/teachers", headers=self._headers)
        assert answer.status_code == 200, answer.text
        answer = await self._clients[process].get("/api/v1/students", headers=self._headers)
        assert answer.status_code == 200, answer.text
        return student_id in {each["id"] for each in answer.json()["items"]}

    async def changes(self, student_id: str) -> int:
        body = {"version": 1, "given_name": "Grace"}
        path = f"/api/v1/students/{student_id}"
        return (await self._clients[1].patch(path, json=body, headers=self._headers)).status_code


class Office:
    """Two processes of academic's API, a worker, and the users of one school."""

    def __init__(self, pair: Pair, tokens: Tokens, clients: list[httpx.AsyncClient], worker: Worker) -> None:
        self.pair, self.tokens, self.clients, self.worker = pair, tokens, clients, worker
        self.school_id = new_id()
        self.writer, self.reader = self.user(), self.user()

    def user(self, school_id: UUID | None = None) -> User:
        return User(self.tokens, self.clients, school_id or self.school_id)

    async def hears_of_school(self, version: int) -> None:
        event = SchoolChanged(
            school_id=self.school_id,
            district_id=new_id(),
            name=f"School {version}",
            time_zone="America/New_York",
            grace_period_minutes=10,
        )
        assert await deliver(self.worker, event, school_id=self.school_id, version=version) is Outcome.DONE

    async def reads_from_replica(self) -> None:
        """Wait until both processes do."""
        for process in range(len(self.clients)):
            async with asyncio.timeout(BOUND_S):
                while not await answered_by_replica(self.reader, process):
                    await asyncio.sleep(0.05)


async def answered_by_replica(user: User, process: int) -> bool:
    before = from_replica()
    await user.sees("nobody", process)
    return from_replica() == before + TO_SEE


async def an_office(opened: AsyncExitStack, pair: Pair, tokens: Tokens, **overrides: object) -> Office:
    with redis.Redis.from_url(pair.stack.redis_url) as client:
        client.flushdb()
    settings = pair.settings(**overrides)
    clients = [await opened.enter_async_context(client_of(create_app(settings, tokens.verifier))) for _ in range(2)]
    worker = create_worker(settings, await opened.enter_async_context(Database(settings)))
    opened.push_async_callback(worker.bus.close)
    office = Office(pair, tokens, clients, worker)
    await office.hears_of_school(1)
    await office.reads_from_replica()
    return office


@pytest.fixture
async def office(pair: Pair, tokens: Tokens) -> AsyncGenerator[Office]:
    async with AsyncExitStack() as opened:
        yield await an_office(opened, pair, tokens)


async def test_who_wrote_reads_it_while_others_read_the_replica(office: Office) -> None:
    with office.pair.paused():
        student_id = await office.writer.adds(process=0)

        assert await office.writer.sees(student_id, process=0)
        assert await office.writer.sees(student_id, process=1)
        before = from_replica()
        assert not await office.reader.sees(student_id, process=1), "this one would have come from the primary"
        assert from_replica() == before + TO_SEE

    office.pair.caught_up()
    before = from_replica()
    assert await office.writer.sees(student_id)
    assert await office.reader.sees(student_id)
    assert from_replica() == before + 2 * TO_SEE


async def test_control_without_its_position_a_write_is_not_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def anything_will_do(*_: object) -> int:
        return 0

    monkeypatch.setattr(Marks, "needed", anything_will_do)
    with office.pair.paused():
        student_id = await office.writer.adds()

        assert not await office.writer.sees(student_id)


async def test_who_changes_something_looks_at_the_primary(office: Office) -> None:
    with office.pair.paused():
        student_id = await office.writer.adds()

        assert await office.reader.changes(student_id) == 200
        assert await office.reader.sees(student_id), "and from then on reads it, too"


async def test_what_a_worker_wrote_is_seen_by_its_school(office: Office) -> None:
    """Who is told by a live push that there is something new, looks, and finds it."""
    stranger = office.user(new_id())
    with office.pair.paused():
        student_id = await office.writer.adds()
        assert not await office.reader.sees(student_id)
        await office.hears_of_school(2)

        assert await office.reader.sees(student_id)
        assert await answered_by_replica(stranger, 0)


async def test_who_lost_a_child_sees_it_no_more_through_any_process(office: Office) -> None:
    lost = await lost_child(office)

    assert lost == [200, 404]


async def test_control_without_its_tables_a_lost_child_is_still_seen(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in office.clients:
        database = litestar_of(client._transport.app).state.database  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setattr(database, "_deciding", frozenset())

    lost = await lost_child(office)

    assert lost == [200, 200]


async def lost_child(office: Office) -> list[int]:
    """What a guardian is answered about a child before their link ends, and after, by a process that did not end it."""
    user, other = office.writer, office.clients[1]
    student_id = await user.adds()
    guardian = await user.made("/guardians", given_name="Gil")
    link = await user.made("/guardian-links", guardian_id=guardian["id"], student_id=student_id, relation="parent")
    headers = office.tokens.headers(
        Role.GUARDIAN, school_id=office.school_id, user_id=new_id(), person_id=UUID(guardian["id"])
    )

    async def asked() -> int:
        return (await other.get(f"/api/v1/students/{student_id}", headers=headers)).status_code

    office.pair.caught_up()
    await office.reads_from_replica()
    with office.pair.paused():
        before = await asked()
        await user.changed(f"/guardian-links/{link['id']}", version=link["version"], is_active=False)
        return [before, await asked()]


async def test_the_tenant_holds_on_a_replica(office: Office) -> None:
    student_id = await office.writer.adds()
    office.pair.caught_up()
    before = from_replica()

    assert not await office.user(new_id()).sees(student_id)
    assert from_replica() == before + TO_SEE


async def test_a_repeated_answer_is_a_write_to_its_reader(office: Office) -> None:
    """The process that wrote may have died before it could tell of it."""
    with office.pair.paused():
        student_id = await office.writer.adds(**{"Idempotency-Key": "key"})
        with redis.Redis.from_url(office.pair.stack.redis_url) as client:
            assert client.delete(*client.keys("reads:*:user:*"))  # pyright: ignore[reportGeneralTypeIssues]
        assert not await office.writer.sees(student_id)

        assert await office.writer.adds(process=1, **{"Idempotency-Key": "key"}) == student_id

        assert await office.writer.sees(student_id)


async def test_when_redis_has_forgotten_everything_nobody_is_told_old_things(office: Office) -> None:
    with office.pair.paused():
        student_id = await office.writer.adds()
        with redis.Redis.from_url(office.pair.stack.redis_url) as client:
            client.flushdb()

        assert await office.writer.sees(student_id)
        assert await office.reader.sees(student_id)


async def test_while_redis_is_frozen_the_primary_is_asked(pair: Pair, tokens: Tokens) -> None:
    async with AsyncExitStack() as opened:
        office = await an_office(opened, pair, tokens, redis_timeout_s=0.25)
        with pair.paused():
            student_id = await office.writer.adds()
            with frozen(pair.servers.valkey.process.pid):
                assert await office.writer.sees(student_id)
                assert await office.reader.sees(student_id)
                second = await office.writer.adds(process=0)
            # The first process could not tell of that. As soon as it can, it does.
            async with asyncio.timeout(BOUND_S):
                while not await office.writer.sees(second, process=1):
                    await asyncio.sleep(0.1)
            assert await office.writer.sees(second, process=0)


async def test_nobody_is_told_what_is_older_than_the_floor(pair: Pair, tokens: Tokens) -> None:
    async with AsyncExitStack() as opened:
        office = await an_office(opened, pair, tokens, database_read_stale_s=1.0)
        with pair.paused():
            student_id = await office.writer.adds()
            await asyncio.sleep(1.1)

            assert not await answered_by_replica(office.reader, 0)
            assert await office.reader.sees(student_id)


async def test_reads_go_on_when_the_replica_is_killed(office: Office) -> None:
    student_id = await office.writer.adds()
    office.pair.replica.process.kill()
    began = time.monotonic()

    for process in (0, 1) * 10:
        assert await office.writer.sees(student_id, process)
    assert time.monotonic() - began < BOUND_S

    office.pair.replica.start()
    await office.reads_from_replica()


async def test_reads_go_on_when_the_replica_is_frozen(pair: Pair, tokens: Tokens) -> None:
    async with AsyncExitStack() as opened:
        office = await an_office(opened, pair, tokens, database_read_answer_s=0.5)
        student_id = await office.writer.adds()
        pair.caught_up()
        with frozen(pair.replica.process.pid):
            slowest = 0.0
            for process in (0, 1) * 10:
                began = time.monotonic()
                assert await office.writer.sees(student_id, process)
                slowest = max(slowest, time.monotonic() - began)
            # Not once more than it takes to find out; most do not wait at all.
            assert slowest < BOUND_S / 2

        await office.reads_from_replica()


async def test_a_promoted_replica_is_none(pair: Pair, tokens: Tokens) -> None:
    """What answers at its address but follows nobody, as the primary itself does, is not read from."""
    async with AsyncExitStack() as opened:
        own_url = pair.stack.database_url("academic")
        settings = pair.settings(database_read_url=own_url)
        client = await opened.enter_async_context(client_of(create_app(settings, tokens.verifier)))
        user, before = User(tokens, [client], new_id()), from_replica()

        assert await user.sees(await user.adds(), process=0)
        assert from_replica() == before


async def test_a_write_by_nobody_is_everybodys(pair: Pair) -> None:
    """Who accepts an invite has no token yet, and reads with one a moment later."""
    read = "SELECT count(*) FROM attendance_code WHERE school_id = %(school_id)s"
    add = (
        "INSERT INTO attendance_code (school_id, code, title, kind, is_alerting)"
        " VALUES (%(school_id)s, 'QQ', 'Q', 'absent', true)"
    )
    school_id, asker = new_id(), Asker(user_id=new_id(), only_reads=True)
    async with Database(pair.settings(ServiceSettings), serves=True) as database:
        serve(None)
        with pair.paused():
            async with database.transaction(school_id=school_id) as tx:
                await tx.execute(add, school_id=school_id)
            serve(asker)
            assert await database.reader(school_id=school_id).value(int, read, school_id=school_id) == 1
        serve(None)


async def test_a_reader_that_must_not_miss_anything_asks_the_primary(office: Office, pair: Pair) -> None:
    read = "SELECT count(*) FROM student WHERE school_id = %(school_id)s"
    async with Database(pair.settings(ServiceSettings), serves=True) as database:
        serve(Asker(user_id=new_id(), only_reads=True))
        with pair.paused():
            await office.writer.adds()

            fresh = database.reader(school_id=office.school_id, is_fresh=True)
            assert await fresh.value(int, read, school_id=office.school_id) == 1
        serve(None)


async def test_real_processes_know_of_each_others_writes(pair: Pair, tokens: Tokens, tmp_path: Path) -> None:
    async with AsyncExitStack() as opened:
        apis = [Api(pair.stack, tokens, tmp_path / f"api{number}.log") for number in range(2)]
        env = {"DATABASE_READ_URL": pair.read_url("academic"), "DATABASE_READ_STALE_S": "300"}
        clients: list[httpx.AsyncClient] = []
        for api in apis:
            process = await started(api, **env)
            opened.callback(process.stop)
            clients.append(await opened.enter_async_context(httpx.AsyncClient(base_url=api.url, trust_env=False)))
        school_id = new_id()
        writer, reader = (User(tokens, clients, school_id) for _ in range(2))
        for number in (0, 1):
            assert not await reader.sees("nobody", number)  # a floor is taken
        with pair.paused():
            student_id = await writer.adds(process=0)

            assert await writer.sees(student_id, process=1)
            assert not await reader.sees(student_id, process=1)
        pair.caught_up()
        assert await reader.sees(student_id, process=1)
