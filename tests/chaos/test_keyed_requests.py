"""Bar B23: a request with a key is done once, whoever is killed between its effect and the reply."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest

from shared.identity import Role
from shared.ids import new_id
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import SEED, Victims, account, chance, python, scaled, until
from tools.embedded.processes import Process, free_port, is_listening

pytestmark = pytest.mark.chaos

KILLS = 6
CLERKS = 6
STUDENTS = "SELECT given_name, id::text FROM academic.student WHERE school_id = %s"


class Api:
    """One process that answers for academic."""

    def __init__(self, stack: Stack, tokens: Tokens, log: Path, module: str = "tests.chaos.keyed_api") -> None:
        self._stack, self._tokens, self._log, self._module = stack, tokens, log, module
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def process(self, **env: str) -> Process:
        keys = msgspec.json.encode(await self._tokens.keys()).decode()
        settings = {"PORT": str(self.port), "KEYS": keys, "DATABASE_POOL_MAX": "4", **env}
        return python("the API", self._module, "api", log=self._log, env=self._stack.service_env("academic") | settings)


async def started(api: Api, **env: str) -> Process:
    process = await api.process(**env)
    process.start()
    await until(lambda: is_listening(api.port), "the API to listen")
    return process


class Office:
    """Adds students, each with a key of its own, and asks again until there is an answer."""

    def __init__(self, tokens: Tokens, urls: Sequence[str]) -> None:
        self.school_id = new_id()
        self.attempted: set[str] = set()
        self.ids: dict[str, str] = {}
        self.sent = 0
        self._headers = tokens.headers(Role.SCHOOL_ADMIN, school_id=self.school_id)
        self._urls, self._dice = urls, chance()

    async def ask(self, client: httpx.AsyncClient, name: str, url: str) -> httpx.Response:
        self.attempted.add(name)
        self.sent += 1
        headers = self._headers | {"Idempotency-Key": name}
        return await client.post(f"{url}/api/v1/students", json={"given_name": name}, headers=headers)

    async def add(self, client: httpx.AsyncClient) -> None:
        name = str(new_id())
        while name not in self.ids:
            with suppress(httpx.TransportError):
                answer = await self.ask(client, name, self._dice.choice(self._urls))
                assert answer.status_code in {201, 409, 503}, answer.text
                if answer.status_code == 201:
                    self.ids[name] = answer.json()["id"]
            await asyncio.sleep(self._dice.uniform(0, 0.02))

    def students(self, stack: OwnStack) -> list[tuple[str, str]]:
        with psycopg.connect(stack.admin_url) as admin:
            return admin.execute(STUDENTS, (self.school_id,)).fetchall()


async def retried_after_a_kill(stack: OwnStack, tokens: Tokens, directory: Path, module: str) -> tuple[Office, int]:
    """Kill a process after the commit, before the reply, and ask again; how many students there are then."""
    api, silence = Api(stack, tokens, directory / "api.log", module), directory / "silent"
    office, name = Office(tokens, [api.url]), "Ada"
    process = await started(api, SILENT=str(silence))
    async with httpx.AsyncClient(timeout=30) as client:
        asked = asyncio.create_task(office.ask(client, name, api.url))
        await until(silence.exists, "the commit")
        process.kill()
        with pytest.raises(httpx.TransportError):
            await asked
        process = await started(api)
        try:
            answer = await office.ask(client, name, api.url)
        finally:
            process.request_stop()
            process.stop()
    assert answer.status_code == 201, answer.text
    office.ids[name] = answer.json()["id"]
    return office, len(office.students(stack))


async def test_the_retry_after_a_kill_gets_the_first_result(
    own_stack: OwnStack, tokens: Tokens, tmp_path: Path
) -> None:
    office, students = await retried_after_a_kill(own_stack, tokens, tmp_path, "tests.chaos.keyed_api")

    assert students == 1
    assert office.students(own_stack) == list(office.ids.items())


async def test_control_an_answer_that_is_kept_later_is_done_twice(
    own_stack: OwnStack, tokens: Tokens, tmp_path: Path
) -> None:
    _, students = await retried_after_a_kill(own_stack, tokens, tmp_path, "tests.chaos.broken.keeps_later")

    assert students == 2


async def test_nothing_is_lost_or_doubled_while_processes_are_killed(
    own_stack: OwnStack, tokens: Tokens, tmp_path: Path
) -> None:
    apis = [Api(own_stack, tokens, tmp_path / f"api{number}.log") for number in range(2)]
    victims = Victims([await api.process() for api in apis], database_port=own_stack.postgres_port)
    office, is_over = Office(tokens, [api.url for api in apis]), False

    async def clerk() -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            while not is_over:
                await office.add(client)

    victims.start()
    try:
        await victims.are_at_work()
        clerks = [asyncio.create_task(clerk()) for _ in range(CLERKS)]
        await victims.kill_at_random(scaled(KILLS), chance(), within_s=1.0)
        is_over = True
        await asyncio.wait_for(asyncio.gather(*clerks), 60)
    finally:
        victims.stop()

    found = office.students(own_stack)
    told = account(
        attempted=office.attempted,
        acknowledged=set(office.ids),
        expected=office.attempted,
        seen=Counter(name for name, _ in found),
        note=f"{victims.kills} kills, {office.sent} requests",
    )
    print(told)
    assert told.is_exact, told
    assert not told.duplicated, told
    assert dict(found) == office.ids, f"CHAOS_SEED={SEED}"
    # The trial has hit something.
    assert office.sent > len(office.attempted) > 50
