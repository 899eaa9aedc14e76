"""Each announcement stands in exactly one digest of each reader, and each reader gets one, whoever is killed."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from services.notification.settings import Settings
from services.notification.tests.factories import announcement, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.worker import create_worker
from shared import clock
from shared.contracts.academic import TeacherChanged
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.ids import new_id
from shared.outbox import ADD_EVENTS
from shared.testing.bus import deliver, envelope_of
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import Account, Broker, Victims, account, chance, python, quiet, scaled

pytestmark = pytest.mark.chaos

READERS = 40
ANNOUNCEMENTS = 120
PER_SECOND = 12
KILLS_WHILE_TOLD = 8
KILLS_WHILE_SENT = 3
SMTP_CONNECTIONS = 2
TITLE = re.compile(r"<[0-9]+>")
WISH = """
INSERT INTO notification.preference (school_id, recipient_id, student_id, category_group, channel, frequency)
VALUES (%s, %s, '00000000-0000-0000-0000-000000000000', 'announcements', 'email', 'daily_digest')
"""
HOURS = "INSERT INTO notification.mail_hours (school_id, recipient_id, digest_hour) VALUES (%s, %s, %s)"
WAITING = "SELECT count(*) FROM academic.outbox WHERE published_at IS NULL"
HEARD = "SELECT count(*) FROM notification.notification WHERE school_id = %s"
SEND_NOW = "UPDATE notification.delivery_due SET due_at = now() WHERE school_id = %s"
UNSENT = "SELECT count(*) FROM notification.delivery WHERE school_id = %s AND state IN ('queued', 'retried')"
DIGESTS = "SELECT count(*) FROM notification.delivery WHERE school_id = %s AND category = 'digest'"


class Found(msgspec.Struct, kw_only=True):
    """`told` counts announcements in digests, by reader; `digests` rows, `mails` different mails."""

    told: Account
    digests: int
    mails: Counter[str]
    repeated_mails: int


class SlowMailServer(MailServer):
    """Takes a mail over some time before it says so."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(0.15)
        return answer


class Trial:
    """Announcements come in up to three copies and any order while workers die; then all digests are due at once."""

    def __init__(self, stack: OwnStack, broker: Broker, mails: MailServer, directory: Path) -> None:
        self.school_id = new_id()
        self.readers = [new_id() for _ in range(READERS)]
        self._stack, self._broker, self._mails, self._directory = stack, broker, mails, directory
        self._dice = chance()

    async def run(self, *, module: str = "services.notification", **env: str) -> Found:
        workers = self._victims("worker", module, "notification", count=2, **env)
        relay = self._victims("relay", "services.academic", "academic", count=1)
        try:
            relay.start()
            workers.start()
            await workers.are_at_work()
            await relay.are_at_work()
            await asyncio.sleep(3)
            await self._readers()
            await self._tell(workers)
            self._execute(SEND_NOW)
            await workers.kill_at_random(scaled(KILLS_WHILE_SENT), self._dice, within_s=1.0)
            await quiet(lambda: self._count(UNSENT) == 0, lambda: len(self._mails.mails), quiet_s=20)
        finally:
            workers.stop()
            relay.stop()
        return self._found(workers.kills)

    async def _readers(self) -> None:
        """Their digests come twelve hours from now, so that no day ends in the middle."""
        hour = (clock.now() + timedelta(hours=12)).hour
        settings = self._stack.settings(Settings, "notification", bus_url=self._broker.url)
        async with Database(settings) as database:
            worker = create_worker(settings, database)
            school = SchoolChanged(
                school_id=self.school_id,
                district_id=new_id(),
                name="Lincoln Elementary",
                time_zone="UTC",
                grace_period_minutes=10,
            )
            await deliver(worker, school, school_id=self.school_id)
            for each in self.readers:
                teacher = TeacherChanged(
                    teacher_id=each, given_name="T", family_name="", email=f"{each}@school.test", is_active=True
                )
                await deliver(worker, teacher, school_id=self.school_id)
                self._execute(WISH, each)
                self._execute(HOURS, each, hour)
            await worker.bus.close()

    async def _tell(self, workers: Victims) -> None:
        people = [somebody(each) for each in self.readers]
        made = [
            envelope_of(announcement(new_id(), *people, title=f"<{number}>"), school_id=self.school_id)
            for number in range(scaled(ANNOUNCEMENTS))
        ]
        copies = [each for each in made for _ in range(self._dice.randint(1, 3))]
        self._dice.shuffle(copies)
        async with asyncio.TaskGroup() as chaos:
            chaos.create_task(workers.kill_at_random(scaled(KILLS_WHILE_TOLD), self._dice, within_s=1.5))
            for each in copies:
                self._send(each)
                await asyncio.sleep(1 / PER_SECOND / 2)
        heard = READERS * len(made)
        await quiet(
            lambda: self._count(HEARD) == heard and self._broker.in_hand("notification") == 0,
            lambda: (self._count(HEARD), self._count(WAITING, school=False)),
            quiet_s=25,
        )

    def _found(self, kills: int) -> Found:
        by_id = {str(mail["Message-ID"]): mail for mail in self._mails.mails}
        seen = Counter[str]()
        mails = Counter[str]()
        for mail in by_id.values():
            to: Any = mail["To"]
            reader = to.addresses[0].username
            mails[reader] += 1
            seen.update(f"{reader} {title}" for title in TITLE.findall(mail.get_content()))
        expected = {f"{each} <{number}>" for each in self.readers for number in range(scaled(ANNOUNCEMENTS))}
        return Found(
            told=account(
                attempted=expected, acknowledged=expected, expected=expected, seen=seen, note=f"{kills} kills"
            ),
            digests=self._count(DIGESTS),
            mails=mails,
            repeated_mails=len(self._mails.mails) - len(by_id),
        )

    def _send(self, event: Envelope) -> None:
        """A copy with the same id is the same event; the outbox wants an id of its own for each."""
        with psycopg.connect(self._stack.database_url("academic")) as connection:
            encoded = {"ids": [new_id()], "types": [event.type], "payloads": [msgspec.json.encode(event)]}
            connection.execute(ADD_EVENTS, encoded)

    def _count(self, sql: str, *, school: bool = True) -> int:
        with psycopg.connect(self._stack.admin_url) as connection:
            row = connection.execute(sql.encode(), (self.school_id,) if school else ()).fetchone()
        assert row is not None
        return row[0]

    def _execute(self, sql: str, *values: object) -> None:
        with psycopg.connect(self._stack.admin_url) as connection:
            connection.execute(sql.encode(), (self.school_id, *values))

    def _victims(self, name: str, module: str, service: str, *, count: int, **env: str) -> Victims:
        own = {} if service != "notification" else {"SMTP_URL": self._mails.url, "SMTP_TIMEOUT_S": "3"}
        own |= {} if service != "notification" else {"SMTP_CONNECTIONS": str(SMTP_CONNECTIONS), "MAIL_ATTEMPTS": "20"}
        env = {**self._stack.service_env(service), "BUS_URL": self._broker.url, **own, **env}
        return Victims(
            [
                python(f"{name} {n}", module, "worker", log=self._directory / f"{name}-{n}.log", env=env)
                for n in range(count)
            ],
            database_port=self._stack.postgres_port,
        )


@pytest.fixture
async def mails() -> AsyncGenerator[SlowMailServer]:
    async with SlowMailServer() as server:
        yield server


async def test_each_announcement_stands_in_one_digest_of_each_reader(
    own_stack: OwnStack, broker: Broker, mails: SlowMailServer, tmp_path: Path
) -> None:
    found = await Trial(own_stack, broker, mails, tmp_path).run()

    print(found)
    assert found.told.is_exact, found
    assert found.told.duplicated == [], found
    assert found.digests == READERS, found
    assert set(found.mails.values()) == {1}, found
    assert found.repeated_mails <= scaled(KILLS_WHILE_SENT) * SMTP_CONNECTIONS, found


async def test_control_a_worker_that_knows_an_event_before_its_effect_loses_announcements(
    own_stack: OwnStack, quick_broker: Broker, mails: SlowMailServer, tmp_path: Path
) -> None:
    trial = Trial(own_stack, quick_broker, mails, tmp_path)

    found = await trial.run(module="tests.chaos.broken.notification", BROKEN="inbox")

    print(found)
    assert found.told.lost, found
