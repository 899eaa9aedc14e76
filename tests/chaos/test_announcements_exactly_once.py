"""An announcement is told once in each edition to everybody of one audience, whoever is killed in the middle of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import msgspec
import psycopg
import pytest

from services.communication.app import create_app
from services.communication.settings import Settings
from shared import clock
from shared.contracts.communication import AnnouncementSent, AnnouncementWithdrawn
from shared.contracts.envelope import Envelope, event_type
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.http import client_of
from shared.testing.tokens import Tokens
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import Account, Broker, Victims, account, chance, python, quiet, scaled

pytestmark = pytest.mark.chaos

STUDENTS = 2_600
ANNOUNCEMENTS = 24
WORKER_KILLS = 10
KINDS = {"sent": 40, "scheduled": 20, "edited": 15, "edited_and_told": 15, "withdrawn": 10}
ADD_STUDENTS = """
INSERT INTO communication.student (school_id, student_id, given_name, family_name, is_active, version)
SELECT %s, id, 'Ada', '', true, 1 FROM unnest(%s::uuid[]) AS new (id)
"""
LEAVE = "UPDATE communication.student SET is_active = false WHERE school_id = %s AND student_id = %s"
AUDIENCES = """
SELECT announcement.announcement_id, announcement.state, announcement.edition, recipient.recipient_id
FROM communication.announcement
JOIN communication.announcement_recipient AS recipient USING (school_id, announcement_id)
WHERE school_id = %s
"""
DUE = "SELECT count(*) FROM communication.announcement_due WHERE school_id = %s"


class Trial:
    """Announcements go out while people come and go, until all kills are done and nothing is due any more."""

    def __init__(self, stack: OwnStack, broker: Broker, tokens: Tokens, directory: Path) -> None:
        self.school_id = new_id()
        self.kinds: dict[str, str] = {}
        self.joined: set[UUID] = set()
        self.first = sorted(new_id() for _ in range(STUDENTS))
        self.left: set[UUID] = set()
        self._stack, self._broker, self._tokens, self._directory = stack, broker, tokens, directory
        self._dice = chance()
        self._headers = tokens.headers(Role.SCHOOL_ADMIN, school_id=self.school_id, user_id=new_id())

    async def run(
        self, *, module: str = "services.communication", kills: int, share: float = 1.0, **env: str
    ) -> Account:
        self._execute(ADD_STUDENTS, self.first)
        workers = self._workers(module, **env)
        try:
            workers.start()
            await workers.are_at_work()
            async with self._office() as office, asyncio.TaskGroup() as chaos:
                killing = chaos.create_task(workers.kill_at_random(kills, self._dice, within_s=1.0))
                chaos.create_task(self._people_come_and_go(killing))
                await self._announce(office, scaled(ANNOUNCEMENTS * share), killing)
            await quiet(lambda: self._count(DUE) == 0, lambda: len(self._events(AnnouncementSent)), quiet_s=40)
        finally:
            workers.stop()
        return self._account(f"kills: {workers.kills} of workers")

    async def _announce(self, office: httpx.AsyncClient, number: int, killing: asyncio.Task[None]) -> None:
        async with asyncio.TaskGroup() as authors:
            while len(self.kinds) < number or not killing.done():
                kind = self._dice.choices(list(KINDS), weights=list(KINDS.values()))[0]
                text = {"title": kind, "body": "No school."}
                audience = {"include": [{"kind": "role", "role": "student"}]}
                made = await self._did(office, "POST", "", {**text, "audience": audience})
                self.kinds[made["announcement_id"]] = kind
                authors.create_task(self._live(office, made["announcement_id"], kind))
                await asyncio.sleep(self._dice.uniform(0.2, 0.7))

    async def _live(self, office: httpx.AsyncClient, announcement_id: str, kind: str) -> None:
        path = f"/{announcement_id}"
        local = clock.now().astimezone(ZoneInfo("UTC")).replace(tzinfo=None) + timedelta(seconds=2)
        at = {"at": local.isoformat()} if kind == "scheduled" else {}
        await self._did(office, "POST", f"{path}/send", {"version": 1, **at})
        await asyncio.sleep(self._dice.uniform(0, 1.5))
        match kind:
            case "withdrawn":
                await self._did(office, "POST", f"{path}/withdraw")
            case "edited":
                await self._edit(office, path, {"title": "silent"})
            case "edited_and_told":
                await self._edit(office, path, {"title": "told", "notify": True})

    async def _edit(self, office: httpx.AsyncClient, path: str, change: dict[str, Any]) -> None:
        """As often as it is refused because the announcement is on its way."""
        while True:
            version = (await self._did(office, "GET", f"/written{path}"))["version"]
            answer = await office.patch(path, json={"version": version, **change}, headers=self._headers)
            if answer.status_code == 200:
                return
            assert answer.status_code == 409, answer.text
            await asyncio.sleep(0.3)

    async def _did(self, office: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        answer = await office.request(method, path, json=body, headers=self._headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def _people_come_and_go(self, killing: asyncio.Task[None]) -> None:
        """Who comes has the highest id, who goes is of the first ones: every part would be another."""
        while not killing.done():
            self.joined.add(new := new_id())
            self._execute(ADD_STUDENTS, [new])
            gone = self._dice.choice(self.first[:500])
            self.left.add(gone)
            self._execute(LEAVE, gone)
            await asyncio.sleep(0.05)

    def _account(self, note: str) -> Account:
        """Of those withdrawn, and to who left, whatever was told is as it should be, as long as it was told once."""
        told = Counter(
            f"{event.announcement_id}/{event.edition}/{each.recipient_id}"
            for event in self._events(AnnouncementSent)
            for each in event.recipients
        )
        audiences = self.audiences()
        expected = {
            f"{announcement_id}/{number}/{recipient_id}"
            for announcement_id, state, edition, recipient_id in audiences
            for number in range(1, edition + 1)
            if (state == "sent" and recipient_id not in self.left)
            or f"{announcement_id}/{number}/{recipient_id}" in told
        }
        return account(attempted=expected, acknowledged=expected, expected=expected, seen=told, note=note)

    def audiences(self) -> list[tuple[str, str, int, UUID]]:
        with psycopg.connect(self._stack.admin_url) as connection:
            rows = connection.execute(AUDIENCES, (self.school_id,)).fetchall()
        return [(str(announcement_id), state, edition, who) for announcement_id, state, edition, who in rows]

    def withdrawals(self) -> Counter[str]:
        return Counter(str(each.announcement_id) for each in self._events(AnnouncementWithdrawn))

    def told_after_the_withdrawal(self) -> list[str]:
        """Of each announcement, what stands behind its withdrawal in the outbox."""
        gone: set[UUID] = set()
        late: list[str] = []
        for envelope in self._envelopes():
            if envelope.type == event_type(AnnouncementWithdrawn):
                gone.add(msgspec.json.decode(envelope.data, type=AnnouncementWithdrawn).announcement_id)
            elif envelope.type == event_type(AnnouncementSent):
                event = msgspec.json.decode(envelope.data, type=AnnouncementSent)
                late += [envelope.subject] if event.announcement_id in gone else []
        return late

    def _events(self, event: type[Any]) -> list[Any]:
        wanted = [each for each in self._envelopes() if each.type == event_type(event)]
        return [msgspec.json.decode(each.data, type=event) for each in wanted]

    def _envelopes(self) -> list[Envelope]:
        return published(self._stack.database_url("communication"), self.school_id)

    def _count(self, sql: str) -> int:
        with psycopg.connect(self._stack.admin_url) as connection:
            row = connection.execute(sql.encode(), (self.school_id,)).fetchone()
        assert row is not None
        return row[0]

    def _execute(self, sql: str, what: Any) -> None:
        with psycopg.connect(self._stack.admin_url, autocommit=True) as connection:
            connection.execute(sql.encode(), (self.school_id, what))

    def _workers(self, module: str, **env: str) -> Victims:
        env = {**self._stack.service_env("communication"), "BUS_URL": self._broker.url, **env}
        return Victims(
            [
                python(f"worker {n}", module, "worker", log=self._directory / f"worker-{n}.log", env=env)
                for n in range(2)
            ],
            database_port=self._stack.postgres_port,
        )

    @asynccontextmanager
    async def _office(self) -> AsyncGenerator[httpx.AsyncClient]:
        settings = self._stack.settings(Settings, "communication", bus_url=self._broker.url)
        async with client_of(create_app(settings, self._tokens.verifier)) as client:
            client.base_url = client.base_url.join("/api/v1/announcements")
            yield client


async def test_each_edition_is_told_once_to_one_audience(
    own_stack: OwnStack, quick_broker: Broker, tokens: Tokens, tmp_path: Path
) -> None:
    trial = Trial(own_stack, quick_broker, tokens, tmp_path)

    found = await trial.run(kills=scaled(WORKER_KILLS))

    print(found)
    assert found.is_exact, found
    assert found.duplicated == [], found
    states: dict[str, set[str]] = {}
    audiences: dict[str, set[UUID]] = {}
    for announcement_id, state, edition, who in trial.audiences():
        states.setdefault(trial.kinds[announcement_id], set()).add(f"{state} {edition}")
        audiences.setdefault(announcement_id, set()).add(who)
    assert states.pop("withdrawn", {"withdrawn 1"}) == {"withdrawn 1"}
    assert states == {kind: {"sent 2" if kind == "edited_and_told" else "sent 1"} for kind in states}
    assert set(states) >= {"sent", "scheduled"}
    # Each audience is one that there was: everybody who was there all the time, nobody who never was.
    stable = set(trial.first) - trial.left
    assert all(stable <= each <= set(trial.first) | trial.joined for each in audiences.values())
    assert len({frozenset(each) for each in audiences.values()}) > 1
    assert set(trial.withdrawals().values()) <= {1}
    assert trial.told_after_the_withdrawal() == []


@pytest.mark.parametrize("mistake", ["publishing", "freezing"])
async def test_control_a_worker_that_does_it_in_another_order_is_found_out(
    own_stack: OwnStack, quick_broker: Broker, tokens: Tokens, tmp_path: Path, mistake: str
) -> None:
    trial = Trial(own_stack, quick_broker, tokens, tmp_path)

    found = await trial.run(
        module="tests.chaos.broken.communication", kills=scaled(WORKER_KILLS / 2), share=0.4, BROKEN=mistake
    )

    print(found)
    assert found.duplicated if mistake == "publishing" else found.lost and found.unexpected, found
