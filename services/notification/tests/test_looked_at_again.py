"""What waits is looked at again when its hours change, and what a sender has in hand stays there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import time
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from services.notification.deliveries import queries
from services.notification.deliveries.actions import Sender
from services.notification.deliveries.schemas import Answer
from services.notification.preferences import actions
from services.notification.preferences.schemas import DEFAULT_POLICY, QuietHours
from services.notification.settings import Settings
from services.notification.tests.factories import School, guardian, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.tests.wishes import EVERY_DAY, Clock, daily, wish
from shared.testing.races import held_up_or_done
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens

Choose = Callable[..., Awaitable[None]]
OWN = "/api/v1/notification-preferences"
DAILY = {"group": "announcements", "channel": "email", "frequency": "daily_digest"}
REGARDLESS = queries.MOVE.replace("AND delivery.attempts = 0", "")


class Held:
    """A mail server that answers when it is told to."""

    def __init__(self) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def send(self, *_: object, **__: object) -> Answer:
        self.reached.set()
        await self.released.wait()
        return Answer(kind="accepted", text="250 OK")


def a_slow_sender(school: School, settings: Settings) -> tuple[Sender, Held]:
    sender, held = Sender(school.database, settings), Held()
    # A server that answers when told to stands in for SMTP's, which is of another type.
    sender._smtp = held  # pyright: ignore[reportAttributeAccessIssue]
    return sender, held


@pytest.fixture
def choose(client: httpx.AsyncClient, tokens: Tokens, school: School) -> Choose:
    async def choosing(person_id: UUID, *choices: dict[str, Any], **fields: Any) -> None:
        headers = tokens.headers("teacher", school_id=school.school_id, person_id=person_id)
        answer = await client.put(OWN, json={"choices": list(choices), **fields}, headers=headers)
        assert answer.status_code == 200, answer.text

    return choosing


@pytest.fixture
def insist(client: httpx.AsyncClient, tokens: Tokens, school: School) -> Choose:
    async def insisting(**fields: Any) -> None:
        headers = tokens.headers("school_admin", school_id=school.school_id)
        body = {**msgspec.structs.asdict(DEFAULT_POLICY), **fields}
        answer = await client.put("/api/v1/notification-policy", json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    return insisting


# -- What is in a sender's hand.


async def saved_while_it_is_sent(
    school: School, settings: Settings, choose: Choose, at: Clock, monkeypatch: pytest.MonkeyPatch, *, is_digest: bool
) -> int:
    """How often a mail was tried when a sender took it after who saves has seen it wait, and before they move it."""
    tess = await school.teacher()
    if is_digest:
        await wish(school, tess, *daily())
    await school.announce(somebody(tess))
    at.to("2026-06-10T17:00")
    slow, held = a_slow_sender(school, settings)
    lock_in_queue = queries.lock_in_queue

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:

        async def after_a_sender_took_it(*args: Any) -> None:
            tasks.create_task(slow.send_next())
            await held.reached.wait()
            await lock_in_queue(*args)

        with monkeypatch.context() as forced:
            forced.setattr(queries, "lock_in_queue", after_a_sender_took_it)
            await choose(tess, *([DAILY] if is_digest else []))
        await school.sender.send_due()
        held.released.set()
    (mail,) = await school.deliveries()
    return mail.attempts


@pytest.mark.parametrize("is_digest", [True, False], ids=["digest", "mail"])
async def test_what_is_being_sent_while_preferences_are_saved_is_sent_once(
    school: School,
    settings: Settings,
    mail_server: MailServer,
    choose: Choose,
    at: Clock,
    monkeypatch: pytest.MonkeyPatch,
    is_digest: bool,
) -> None:
    attempts = await saved_while_it_is_sent(school, settings, choose, at, monkeypatch, is_digest=is_digest)

    assert (attempts, mail_server.mails) == (1, [])


@pytest.mark.parametrize("is_digest", [True, False], ids=["digest", "mail"])
async def test_control_who_does_not_ask_again_whether_it_was_tried_has_it_sent_twice(
    school: School,
    settings: Settings,
    mail_server: MailServer,
    choose: Choose,
    at: Clock,
    monkeypatch: pytest.MonkeyPatch,
    is_digest: bool,
) -> None:
    monkeypatch.setattr(queries, "MOVE", REGARDLESS)

    attempts = await saved_while_it_is_sent(school, settings, choose, at, monkeypatch, is_digest=is_digest)

    assert (attempts, len(mail_server.mails)) == (2, 1)


async def saved_while_it_is_taken(
    school: School, settings: Settings, stack: Stack, choose: Choose, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> int:
    """How often a mail was tried when a sender has taken it, and not committed, while preferences are saved by a clock
    that is a little behind.
    """
    tess = await school.teacher()
    await wish(school, tess, quiet_hours=QuietHours(starts_at=time(9), ends_at=time(17), days=EVERY_DAY))
    await school.announce(somebody(tess))
    at.to("2026-06-10T17:00")
    slow, held = a_slow_sender(school, settings)
    has_counted, may_commit = asyncio.Event(), asyncio.Event()
    count_attempt = queries.count_attempt

    async def counting(*args: Any, **how: Any) -> None:
        await count_attempt(*args, **how)
        has_counted.set()
        await may_commit.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        with monkeypatch.context() as forced:
            forced.setattr(queries, "count_attempt", counting)
            tasks.create_task(slow.send_next())
            await has_counted.wait()
        at.to("2026-06-10T16:59")
        saving = asyncio.ensure_future(choose(tess))
        await held_up_or_done(stack, saving)
        may_commit.set()
        await saving
        at.to("2026-06-10T17:00")
        await school.sender.send_due()
        held.released.set()
    (mail,) = await school.deliveries()
    return mail.attempts


async def test_who_saves_preferences_waits_for_a_sender_that_takes_a_mail(
    school: School, settings: Settings, stack: Stack, choose: Choose, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await saved_while_it_is_taken(school, settings, stack, choose, at, monkeypatch) == 1


async def test_control_in_one_statement_who_waited_takes_the_mail_for_untried(
    school: School, settings: Settings, stack: Stack, choose: Choose, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unlocked(*_: object) -> None: ...

    monkeypatch.setattr(queries, "lock_in_queue", unlocked)

    assert await saved_while_it_is_taken(school, settings, stack, choose, at, monkeypatch) == 2


# -- Another hour.


async def test_a_digest_waits_for_a_later_hour_with_all_that_comes_until_then(
    school: School, mail_server: MailServer, choose: Choose, at: Clock
) -> None:
    tess = await school.teacher()
    await choose(tess, DAILY, digest_hour=12)
    await school.announce(somebody(tess), title="Before")
    at.to("2026-06-10T11:00")
    await choose(tess, DAILY, digest_hour=20)
    at.to("2026-06-10T12:00")
    await school.sender.send_due()
    await school.announce(somebody(tess), title="After")
    assert mail_server.mails == []

    at.to("2026-06-10T20:00")
    await school.sender.send_due()

    (mail,) = mail_server.mails
    assert mail["Subject"] == "Lincoln Elementary: 2 notifications"


async def test_another_hour_of_the_school_moves_the_digests_of_who_has_chosen_none(
    school: School, mail_server: MailServer, insist: Choose, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    those = [await school.teacher() for _ in range(5)]
    own = await school.teacher()
    for each in those:
        await wish(school, each, *daily())
    await wish(school, own, *daily(), digest_hour=12)
    await school.announce(*map(somebody, (*those, own)))

    await insist(digest_hour=20)
    at.to("2026-06-10T17:00")
    await school.sender.send_due()
    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(own)]
    at.to("2026-06-10T18:00")
    await insist(digest_hour=18)
    await school.sender.send_due()

    assert len(mail_server.mails) == 6
    at.to("2026-06-10T20:00")
    await school.sender.send_due()
    assert len(mail_server.mails) == 6


async def test_a_digest_that_was_tried_is_not_moved(
    school: School, mail_server: MailServer, choose: Choose, at: Clock
) -> None:
    tess = await school.teacher()
    await choose(tess, DAILY, digest_hour=12)
    await school.announce(somebody(tess))
    mail_server.mood = "refuses_for_now"
    at.to("2026-06-10T12:00")
    await school.sender.send_due()

    await choose(tess, DAILY, digest_hour=20)
    mail_server.mood = "well"
    at.to("2026-06-10T12:01")
    await school.sender.send_due()

    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("breaks", [True, False])
async def test_alerts_that_wait_follow_a_policy_that_changes(
    school: School, mail_server: MailServer, insist: Choose, at: Clock, breaks: bool
) -> None:
    await insist(alerts_break_quiet_hours=not breaks)
    ada = await school.student()
    mother = await school.guardian(ada)
    await wish(school, mother, quiet_hours=QuietHours(starts_at=time(9), ends_at=time(15), days=EVERY_DAY))
    school.today = at.now().date()
    await school.mark(ada, absent=True)
    await school.grace_ends()
    if breaks:
        await school.sender.send_due()
        assert mail_server.mails == []

    await insist(alerts_break_quiet_hours=breaks)
    await school.sender.send_due()
    assert len(mail_server.mails) == (1 if breaks else 0)

    at.to("2026-06-10T15:00")
    await school.sender.send_due()
    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("waits_in", ["queue", "digest", "retry"])
async def test_what_waits_goes_to_the_address_of_by_now(
    school: School, mail_server: MailServer, at: Clock, waits_in: str
) -> None:
    """The one it was queued with belongs to a stranger."""
    ada = await school.student("Ada")
    anne = await school.guardian(ada, email="stranger@home.test")
    await queued(school, mail_server, anne, ada, waits_in)

    await school.guardian(guardian_id=anne, email="anne@home.test")
    await school.mails_are_sent()

    assert [address_of(mail) for mail in mail_server.mails] == ["anne@home.test"]
    assert [each.address for each in await school.deliveries()] == ["anne@home.test"]


@pytest.mark.parametrize("waits_in", ["queue", "digest", "retry"])
async def test_what_waits_goes_nowhere_once_the_address_is_taken_away(
    school: School, mail_server: MailServer, at: Clock, waits_in: str
) -> None:
    ada = await school.student("Ada")
    anne = await school.guardian(ada, email="stranger@home.test")
    await queued(school, mail_server, anne, ada, waits_in)

    await school.guardian(guardian_id=anne, email=None)
    await school.mails_are_sent()

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["unreachable"]


async def queued(school: School, mail_server: MailServer, anne: UUID, ada: UUID, waits_in: str) -> None:
    """A mail to Anne that was not sent yet, for one reason or another."""
    if waits_in == "digest":
        await wish(school, anne, *daily("announcements"))
    await school.announce(guardian(anne, ada))
    if waits_in == "retry":
        mail_server.mood = "refuses_for_now"
        await school.mails_are_sent()
        mail_server.mood = "well"


def address_of(mail: EmailMessage) -> str:
    return mail["To"].addresses[0].addr_spec
