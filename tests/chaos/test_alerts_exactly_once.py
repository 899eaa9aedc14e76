"""Bar B5: each absence is told to each guardian once, whoever is killed in the middle of it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.notification.settings import Settings
from services.notification.tests.mail_server import MailServer
from services.notification.worker import create_worker
from shared import clock
from shared.contracts.academic import AttendanceDayChanged, GuardianChanged, GuardianLinkChanged, StudentChanged
from shared.contracts.auth import MembershipChanged
from shared.contracts.envelope import Envelope as EventEnvelope
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.ids import new_id
from shared.outbox import ADD_EVENTS
from shared.testing.bus import deliver, envelope_of
from shared.worker import Worker
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import Account, Broker, Victims, account, chance, python, quiet, scaled, until

pytestmark = pytest.mark.chaos

ABSENCES = 300
WORKER_KILLS = 8
RELAY_KILLS = 4
BROKER_KILLS = 2
SMTP_CONNECTIONS = 4
SMTP_TIMEOUT_S = 3
SLOW_MAIL_S = 0.06
PER_SECOND = 15
TIME_ZONE = "America/New_York"
GRACE = timedelta(minutes=10)
KINDS = {
    "plain": 60,
    "marked_by_a_guardian": 10,
    "unlinked_before_the_absence": 10,
    "unlinked_before_the_mail": 5,
    "corrected_within_grace": 10,
    "corrected_before_it_was_heard_of": 5,
}
INBOX = """
SELECT recipient_person_id FROM notification.notification WHERE school_id = %s AND category = 'absence_alert'
"""
OTHER_NOTICES = "SELECT count(*) FROM notification.notification WHERE school_id = %s AND category <> 'absence_alert'"
DELIVERIES = "SELECT recipient_person_id, state FROM notification.delivery WHERE school_id = %s"
UNLINKED = "SELECT count(*) FROM notification.guardian_link WHERE school_id = %s AND version = 2 AND NOT is_active"
# Only what a greylisting mail server has put off: a mail that is in a sender's hand stays there.
SEND_NOW = """
UPDATE notification.delivery_due SET due_at = now()
FROM notification.delivery
WHERE delivery.delivery_id = delivery_due.delivery_id AND delivery.school_id = %s AND delivery.state = 'retried'
"""
UNTOLD = """
SELECT (SELECT count(*) FROM academic.outbox WHERE published_at IS NULL)
     + (SELECT count(*) FROM notification.alert_due WHERE due_at <= now())
     + (SELECT count(*) FROM notification.delivery WHERE state = 'queued')
"""


class SlowMailServer(MailServer):
    """Takes a mail over some time before it says so; puts off addresses that it does not know yet."""

    def __init__(self) -> None:
        super().__init__()
        self.greylisted: set[str] = set()

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.greylisted:
            return "451 Greylisted"
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(random.uniform(0, SLOW_MAIL_S))
        return answer

    def received(self) -> dict[str, list[str]]:
        """The Message-IDs of the mails to each guardian, by id."""
        found: dict[str, list[str]] = {}
        for mail in self.mails:
            to: Any = mail["To"]
            found.setdefault(to.addresses[0].username, []).append(str(mail["Message-ID"]))
        return found


class Verdict(msgspec.Struct, kw_only=True):
    """`deliveries` counts the rows of the delivery log, `mails` what arrived."""

    inbox: Account
    deliveries: Account
    mails: Account
    second_mails: list[str]
    """Guardians with two mails that do not look like one: not the same Message-ID."""
    repeated_mails: int
    other_notices: int

    def __str__(self) -> str:
        lines = [f"{name}: {getattr(self, name)}" for name in ("inbox", "deliveries", "mails")]
        return "\n".join([*lines, f"{self.repeated_mails} mails repeated, {self.second_mails} mailed anew"])


class Trial:
    """Absences go out through academic's outbox, in up to three copies and any order, until all kills are done."""

    def __init__(self, stack: OwnStack, broker: Broker, mails: SlowMailServer, directory: Path) -> None:
        self.school_id = new_id()
        self.told: set[str] = set()
        self.mailed: set[str] = set()
        self.absences = 0
        self._stack, self._broker, self._mails, self._directory = stack, broker, mails, directory
        self._dice = chance()
        self._waiting: list[EventEnvelope] = []
        self._unlinks: list[EventEnvelope] = []
        self._today = clock.school_day(clock.now(), TIME_ZONE)

    async def run(
        self, *, module: str = "services.notification", worker_kills: int, broker_kills: int, **env: str
    ) -> Verdict:
        workers = self._workers(module, **env)
        relay = self._victims("relay", "services.academic", "academic", count=1)
        try:
            relay.start()
            workers.start()
            await workers.are_at_work()
            await relay.are_at_work()
            # RabbitMQ 3.10 writes the name of a new queue to disk up to half a second after it was declared.
            await asyncio.sleep(3)
            async with self._hearing() as worker:
                await self._let_them_miss_lessons(worker, workers, relay, worker_kills, broker_kills)
            await self._unlink_before_the_mail()
            await self._come_to_rest()
        finally:
            workers.stop()
            relay.stop()
        return self._verdict(
            f"kills: {workers.kills} of workers, {relay.kills} of the relay, {self._broker.kills} of the broker"
        )

    async def _let_them_miss_lessons(
        self, worker: Worker, workers: Victims, relay: Victims, worker_kills: int, broker_kills: int
    ) -> None:
        await deliver(worker, self._school(), school_id=self.school_id)
        async with asyncio.TaskGroup() as chaos:
            kills = [
                chaos.create_task(workers.kill_at_random(worker_kills, self._dice, within_s=1.5)),
                chaos.create_task(relay.kill_at_random(RELAY_KILLS if broker_kills else 0, self._dice, within_s=1.5)),
                chaos.create_task(self._broker.kill_at_random(broker_kills, self._dice, apart_s=(2.0, 5.0))),
            ]
            while self.absences < scaled(ABSENCES) or not all(each.done() for each in kills):
                await self._one_more(worker)
                self._send(self._dice.randint(1, 3))
                await asyncio.sleep(1 / PER_SECOND)
        self._send(len(self._waiting))

    async def _one_more(self, worker: Worker) -> None:
        """A child and its guardians, known to notification beforehand, and an absence that is yet to be heard of."""
        kind = self._dice.choices(list(KINDS), weights=list(KINDS.values()))[0]
        student_id, guardians = new_id(), [new_id(), new_id()]
        if kind == "plain":
            guardians = guardians[: self._dice.randint(1, 2)]
        await self._hear(
            worker, StudentChanged(student_id=student_id, given_name="Ada", family_name="", is_active=True)
        )
        for guardian_id in guardians:
            await self._hear(worker, _guardian(guardian_id))
            await self._hear(worker, _link(guardian_id, student_id))
        login = new_id()
        told = {str(each) for each in guardians}
        mailed = set(told)
        match kind:
            case "marked_by_a_guardian":
                await self._hear(worker, _membership(guardians[0], login))
                told, mailed = told - {str(guardians[0])}, mailed - {str(guardians[0])}
            case "unlinked_before_the_absence":
                await self._hear(worker, _link(guardians[0], student_id, is_active=False), version=2)
                told, mailed = told - {str(guardians[0])}, mailed - {str(guardians[0])}
            case "unlinked_before_the_mail":
                self._mails.greylisted.add(_address(guardians[0]))
                unlinked = _link(guardians[0], student_id, is_active=False)
                self._unlinks.append(envelope_of(unlinked, school_id=self.school_id, version=2))
                mailed -= {str(guardians[0])}
            case "corrected_within_grace":
                self._queue(self._attendance(student_id, login, is_absent=False), version=2)
                told, mailed = set[str](), set[str]()
            case "corrected_before_it_was_heard_of":
                await self._hear(worker, self._attendance(student_id, login, is_absent=False), version=2)
                told, mailed = set[str](), set[str]()
        is_due_soon = kind != "corrected_within_grace"
        self._queue(self._attendance(student_id, login, is_absent=True, is_due_soon=is_due_soon))
        self.absences += 1
        self.told |= told
        self.mailed |= mailed

    async def _unlink_before_the_mail(self) -> None:
        """The mail server has put these off; now they lose their children, and then it would take the mails."""
        put_off = self.told - self.mailed
        await quiet(lambda: self._inbox().keys() >= put_off, self._inbox, quiet_s=25)
        before = self._count(UNLINKED)
        self._waiting += self._unlinks
        self._send(len(self._waiting))
        await until(lambda: self._count(UNLINKED) >= before + len(self._unlinks), "the guardians to be unlinked")
        # Who had one in hand when the unlink came may finish that attempt: it was allowed when it began.
        await asyncio.sleep(SMTP_TIMEOUT_S)
        self._mails.greylisted.clear()
        self._execute(SEND_NOW)

    async def _come_to_rest(self) -> None:
        def is_done() -> bool:
            nothing_waits = self._count(UNTOLD, school=False) == 0 and self._broker.in_hand("notification") == 0
            return nothing_waits and self._states().keys().isdisjoint({"queued", "retried"})

        # What a killed worker had in hand is somebody else's after up to 18 s, on the slower transport.
        await quiet(is_done, lambda: (len(self._mails.mails), self._states()), quiet_s=25)
        await asyncio.sleep(1)

    def _verdict(self, note: str) -> Verdict:
        mails = self._mails.received()
        with psycopg.connect(self._stack.admin_url) as connection:
            deliveries = Counter(str(who) for who, _ in connection.execute(DELIVERIES, (self.school_id,)))
        seen = Counter({who: len(ids) for who, ids in mails.items()})
        return Verdict(
            inbox=self._account(self.told, self._inbox(), note),
            deliveries=self._account(self.told, deliveries, note),
            mails=self._account(self.mailed, seen, note),
            second_mails=[who for who, ids in mails.items() if len(set(ids)) > 1],
            repeated_mails=sum(len(ids) - len(set(ids)) for ids in mails.values()),
            other_notices=self._count(OTHER_NOTICES),
        )

    @staticmethod
    def _account(expected: set[str], seen: Counter[str], note: str) -> Account:
        return account(attempted=expected, acknowledged=expected, expected=expected, seen=seen, note=note)

    def _inbox(self) -> Counter[str]:
        with psycopg.connect(self._stack.admin_url) as connection:
            return Counter(str(who) for (who,) in connection.execute(INBOX, (self.school_id,)))

    def _states(self) -> Counter[str]:
        with psycopg.connect(self._stack.admin_url) as connection:
            return Counter(state for _, state in connection.execute(DELIVERIES, (self.school_id,)))

    def states_of_unlinked(self) -> set[str]:
        """What became of the mails to those who lost their children before they were sent."""
        with psycopg.connect(self._stack.admin_url) as connection:
            found = connection.execute(DELIVERIES, (self.school_id,)).fetchall()
        return {state for who, state in found if str(who) in self.told - self.mailed}

    def _count(self, sql: str, *, school: bool = True) -> int:
        with psycopg.connect(self._stack.admin_url) as connection:
            row = connection.execute(sql.encode(), (self.school_id,) if school else ()).fetchone()
        assert row is not None
        return row[0]

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self._stack.admin_url) as connection:
            connection.execute(sql.encode(), (self.school_id,))

    async def _hear(self, worker: Worker, event: msgspec.Struct, *, version: int = 1) -> None:
        await deliver(worker, event, school_id=self.school_id, version=version)

    def _queue(self, event: msgspec.Struct, *, version: int = 1) -> None:
        """Up to three copies of one event, at random places among those that wait."""
        made = envelope_of(event, school_id=self.school_id, version=version)
        for _ in range(self._dice.randint(1, 3)):
            self._waiting.insert(self._dice.randint(0, len(self._waiting)), made)

    def _send(self, number: int) -> None:
        """Into academic's outbox, in a transaction, as academic does."""
        sent, self._waiting = self._waiting[:number], self._waiting[number:]
        with psycopg.connect(self._stack.database_url("academic")) as connection:
            connection.execute(
                ADD_EVENTS,
                {
                    "ids": [new_id() for _ in sent],
                    "types": [each.type for each in sent],
                    "payloads": [msgspec.json.encode(each) for each in sent],
                },
            )

    def _school(self) -> SchoolChanged:
        return SchoolChanged(
            school_id=self.school_id,
            district_id=new_id(),
            name="Lincoln Elementary",
            time_zone=TIME_ZONE,
            grace_period_minutes=round(GRACE.total_seconds() / 60),
        )

    def _attendance(
        self, student_id: UUID, login: UUID, *, is_absent: bool, is_due_soon: bool = True
    ) -> AttendanceDayChanged:
        soon = timedelta(seconds=self._dice.uniform(0, 2))
        return AttendanceDayChanged(
            student_id=student_id,
            day=self._today,
            status="absent" if is_absent else "present",
            is_unexplained_absence=is_absent,
            lessons=["Maths"] if is_absent else [],
            changed_at=clock.now() - GRACE + soon if is_due_soon else clock.now(),
            changed_by=login,
        )

    def _workers(self, module: str, **env: str) -> Victims:
        quick = {"SMTP_TIMEOUT_S": str(SMTP_TIMEOUT_S), "MAIL_RETRY_BASE_S": "0.3", "MAIL_ATTEMPTS": "20"}
        smtp = {"SMTP_URL": self._mails.url, "SMTP_CONNECTIONS": str(SMTP_CONNECTIONS)}
        return self._victims("worker", module, "notification", count=2, **quick, **smtp, **env)

    def _victims(self, name: str, module: str, service: str, *, count: int, **env: str) -> Victims:
        env = {**self._stack.service_env(service), "BUS_URL": self._broker.url, **env}
        return Victims(
            [
                python(f"{name} {n}", module, "worker", log=self._directory / f"{name}-{n}.log", env=env)
                for n in range(count)
            ],
            database_port=self._stack.postgres_port,
        )

    @asynccontextmanager
    async def _hearing(self) -> AsyncGenerator[Worker]:
        """A worker in this process that only takes what it is handed."""
        settings = self._stack.settings(Settings, "notification", bus_url=self._broker.url)
        async with Database(settings) as database:
            worker = create_worker(settings, database)
            yield worker
            await worker.bus.close()


def _guardian(guardian_id: UUID) -> GuardianChanged:
    return GuardianChanged(
        guardian_id=guardian_id, given_name="Anne", family_name="", email=_address(guardian_id), is_active=True
    )


def _link(guardian_id: UUID, student_id: UUID, *, is_active: bool = True) -> GuardianLinkChanged:
    return GuardianLinkChanged(
        guardian_link_id=UUID(int=guardian_id.int ^ student_id.int),
        guardian_id=guardian_id,
        student_id=student_id,
        relation="parent",
        may_see=True,
        receives_alerts=True,
        priority=1,
        is_active=is_active,
    )


def _membership(person_id: UUID, user_id: UUID) -> MembershipChanged:
    return MembershipChanged(
        membership_id=new_id(), user_id=user_id, role="guardian", person_id=person_id, is_active=True
    )


def _address(guardian_id: UUID) -> str:
    return f"{guardian_id}@home.test"


@pytest.fixture
async def mails() -> AsyncGenerator[SlowMailServer]:
    async with SlowMailServer() as server:
        yield server


async def test_each_absence_is_told_to_each_guardian_once(
    own_stack: OwnStack, broker: Broker, mails: SlowMailServer, tmp_path: Path
) -> None:
    trial = Trial(own_stack, broker, mails, tmp_path)

    found = await trial.run(worker_kills=scaled(WORKER_KILLS), broker_kills=scaled(BROKER_KILLS))

    print(found)
    for each in (found.inbox, found.deliveries):
        assert each.is_exact, found
        assert each.duplicated == [], found
    assert found.mails.is_exact, found
    assert found.second_mails == [], found
    assert found.repeated_mails <= scaled(WORKER_KILLS) * SMTP_CONNECTIONS, found
    assert found.other_notices == 0, found
    assert trial.states_of_unlinked() == {"cancelled"}, found


@pytest.mark.parametrize("mistake", ["inbox", "telling"])
async def test_control_a_worker_with_two_transactions_loses_or_doubles_alerts(
    own_stack: OwnStack, quick_broker: Broker, mails: SlowMailServer, tmp_path: Path, mistake: str
) -> None:
    trial = Trial(own_stack, quick_broker, mails, tmp_path)

    found = await trial.run(
        module="tests.chaos.broken.notification", worker_kills=scaled(WORKER_KILLS), broker_kills=0, BROKEN=mistake
    )

    print(found)
    assert found.inbox.lost if mistake == "inbox" else found.inbox.duplicated, found
