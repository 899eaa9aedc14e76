"""Mails: none is lost, none goes to who is no longer to read it, and a second attempt is the same mail."""

import asyncio
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest
from aiosmtplib import SMTP, SMTPNotSupported
from aiosmtplib.email import flatten_message
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from services.notification.deliveries import mails, queries, rules
from services.notification.deliveries.actions import Sender
from services.notification.deliveries.schemas import PLATFORM, Answer, Attempt
from services.notification.deliveries.smtp import Smtp
from services.notification.settings import Settings
from services.notification.tests.factories import School, Sent, days_ago
from services.notification.tests.mail_server import MailServer, Mood
from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import AttendanceDayChanged
from shared.contracts.auth import InviteIssued, PasswordResetRequested
from shared.database import Database
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver, envelope_of
from shared.worker import Worker

CODE = "73519462"

HISTORY = """
SELECT state FROM delivery_event
WHERE school_id = %(school_id)s AND delivery_id = %(delivery_id)s ORDER BY at LIMIT 100
"""
NEXT_ATTEMPT_IN = """
SELECT extract(epoch FROM next_attempt_at - updated_at)::float8 FROM delivery
WHERE school_id = %(school_id)s AND delivery_id = %(delivery_id)s
"""
IN_QUEUE = "SELECT count(*) FROM delivery_due WHERE delivery_id = %(delivery_id)s"
ROW = "SELECT to_jsonb(delivery)::text FROM delivery WHERE delivery_id = %(delivery_id)s"


class State(msgspec.Struct):
    state: str


async def history(school: School, delivery_id: UUID) -> list[str]:
    reader = school.database.reader(school_id=school.school_id)
    found = await reader.all(State, HISTORY, school_id=school.school_id, delivery_id=delivery_id)
    return [each.state for each in found]


async def absent(school: School, **guardian: Any) -> tuple[UUID, UUID]:
    """A student whose guardian was told of today; the mail waits."""
    student_id = await school.student()
    guardian_id = await school.guardian(student_id, **guardian)
    await school.mark(student_id, absent=True)
    await school.grace_ends()
    return student_id, guardian_id


async def the_mail(school: School) -> Sent:
    (mail,) = await school.deliveries()
    return mail


async def invited(school: School, worker: Worker, invite: InviteIssued) -> UUID:
    delivery_id = new_id()
    assert await deliver(worker, invite, school_id=school.school_id, event_id=delivery_id) is Outcome.DONE
    return delivery_id


# -- What arrives.


async def test_an_alert_is_mailed_once_and_says_what_the_guardian_needs(
    school: School, mail_server: MailServer
) -> None:
    ada, mother = await absent(school)

    await school.mails_are_sent()
    await school.mails_are_sent()

    (mail,) = mail_server.mails
    assert mail["To"] == f"Anne Byron <{mother}@home.test>"
    assert mail["From"] == "Lincoln Elementary <homeroom@homeroom.test>"
    assert mail["Subject"] == "Ada was marked absent"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert f"http://gateway.test/students/{ada}/attendance/{school.today}" in mail.get_content()
    assert (await the_mail(school)).state == "sent"


async def test_two_guardians_get_a_mail_each_and_see_nothing_of_each_other(
    school: School, mail_server: MailServer
) -> None:
    ada = await school.student()
    mother, father = await school.guardian(ada), await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await school.mails_are_sent()

    assert len(mail_server.mails) == 2
    (to_mother,), (to_father,) = mail_server.to(str(mother)), mail_server.to(str(father))
    assert str(father) not in to_mother.as_string()
    assert str(mother) not in to_father.as_string()


async def test_a_mail_carries_the_trace_of_the_request_that_caused_it(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    register = AttendanceDayChanged(
        student_id=ada,
        day=school.today,
        status="absent",
        is_unexplained_absence=True,
        lessons=["Maths"],
        changed_at=clock.now(),
        changed_by=school.teacher_login,
    )
    traces = {
        f"{mother}@home.test": "0af7651916cd43dd8448eb211c80319c",
        "anne@home.test": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    for event, trace_id in zip(
        (register, school.invite(seal.close(CODE), email="anne@home.test")), traces.values(), strict=True
    ):
        caused = msgspec.structs.replace(
            envelope_of(event, school_id=school.school_id), traceparent=f"00-{trace_id}-b7ad6b7169203331-01"
        )
        await worker.handle(msgspec.json.encode(caused))
    await school.grace_ends()

    await school.mails_are_sent()

    seen = {mail["To"].addresses[0].addr_spec: mail["traceparent"].split("-")[1] for mail in mail_server.mails}
    assert seen == traces


# -- Refused for the moment, or for good.


async def test_what_is_refused_for_the_moment_is_sent_again_as_the_same_mail(
    school: School, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await absent(school)
    composed: list[str] = []
    compose = mails.compose

    def composing(*args: Any, **how: Any) -> EmailMessage:
        message = compose(*args, **how)
        composed.append(message["Message-ID"])
        return message

    monkeypatch.setattr(mails, "compose", composing)
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()
    assert (await the_mail(school)).state == "retried"

    mail_server.mood = "well"
    await school.mails_are_sent()

    mail = await the_mail(school)
    assert (mail.state, mail.attempts) == ("sent", 2)
    assert composed == [f"<{mail.delivery_id}@homeroom>"] * 2
    assert mail_server.mails[0]["Message-ID"] == composed[0]
    assert await history(school, mail.delivery_id) == ["queued", "retried", "sent"]


async def test_each_further_attempt_waits_longer_and_none_comes_early(school: School, mail_server: MailServer) -> None:
    await absent(school)
    mail_server.mood = "refuses_for_now"
    waits: list[float] = []

    for attempt in (1, 2):
        await school.mails_are_sent()
        await school.sender.send_due()
        mail = await the_mail(school)
        assert mail.attempts == attempt
        reader = school.database.reader(school_id=school.school_id)
        waits.append(
            await reader.value(float, NEXT_ATTEMPT_IN, school_id=school.school_id, delivery_id=mail.delivery_id) or 0
        )

    assert 7.5 <= waits[0] <= 10
    assert 22.5 <= waits[1] <= 30


@given(st.integers(1, 20), st.floats(0, 1))
def test_the_delay_grows_to_an_hour_and_no_further(attempts: int, chance: float) -> None:
    delay = rules.retry_delay_s(attempts, base_s=10, chance=chance)

    assert 7.5 <= delay <= 3600
    assert delay <= rules.retry_delay_s(attempts + 1, base_s=10, chance=chance)


async def test_after_the_last_attempt_a_mail_has_failed_and_leaves_the_queue(
    school: School, mail_server: MailServer
) -> None:
    await absent(school)
    mail_server.mood = "refuses_for_now"

    for _ in range(5):
        await school.mails_are_sent()

    mail = await the_mail(school)
    assert (mail.state, mail.attempts) == ("failed", 3)
    assert "451" in (mail.last_error or "")
    assert await school.database.reader().value(int, IN_QUEUE, delivery_id=mail.delivery_id) == 0


@pytest.mark.parametrize(("mood", "word"), [("refuses_recipient", "550"), ("refuses_mail", "554")])
async def test_what_is_refused_for_good_is_unreachable_and_not_tried_again(
    school: School, mail_server: MailServer, mood: Mood, word: str
) -> None:
    await absent(school)
    mail_server.mood = mood

    await school.mails_are_sent()
    await school.mails_are_sent()

    mail = await the_mail(school)
    assert (mail.state, mail.attempts) == ("unreachable", 1)
    assert word in (mail.last_error or "")


async def test_our_own_credentials_are_not_the_recipients_fault(school: School, mail_server: MailServer) -> None:
    await absent(school)
    mail_server.mood = "refuses_sender"

    await school.mails_are_sent()

    assert (await the_mail(school)).state == "retried"


async def test_a_password_is_not_sent_where_others_can_read_it(mail_server: MailServer) -> None:
    smtp = Smtp(with_password(mail_server.url), timeout_s=30)

    answer = await smtp.send(a_mail(), sender="homeroom@home.test", recipient="anne@home.test")

    assert (answer.kind, mail_server.logins, mail_server.mails) == ("refused_for_now", [], [])
    assert "STARTTLS" in answer.text
    await smtp.close()


async def test_control_a_client_that_takes_tls_only_where_it_is_offered_tells_its_password(
    mail_server: MailServer,
) -> None:
    url = urlsplit(with_password(mail_server.url))

    async with SMTP(hostname=url.hostname, port=url.port, username=url.username, password=url.password):
        pass

    assert len(mail_server.logins) == 1


async def test_a_server_that_lets_nobody_sign_in_refuses_for_now(
    monkeypatch: pytest.MonkeyPatch, mail_server: MailServer
) -> None:
    async def without_sign_in(_: SMTP) -> None:
        raise SMTPNotSupported("No suitable authentication method was found.")

    monkeypatch.setattr(SMTP, "connect", without_sign_in)
    smtp = Smtp(mail_server.url, timeout_s=30)

    answer = await smtp.send(a_mail(), sender="homeroom@home.test", recipient="anne@home.test")

    assert answer.kind == "refused_for_now"


def with_password(url: str) -> str:
    return url.replace("://", "://homeroom:secret@")


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["To"] = "anne@home.test"
    mail.set_content("Hello")
    return mail


async def test_one_mail_that_is_refused_does_not_hold_up_the_next(school: School, mail_server: MailServer) -> None:
    await absent(school, email="not an address@home.test")
    await absent(school)

    await school.mails_are_sent()

    assert sorted(each.state for each in await school.deliveries()) == ["sent", "unreachable"]
    assert len(mail_server.mails) == 1


async def test_a_servers_word_that_is_no_text_sends_no_second_mail(school: School, mail_server: MailServer) -> None:
    await absent(school)
    mail_server.mood = "mumbles"

    await school.mails_are_sent()
    await school.mails_are_sent()

    assert len(mail_server.mails) == 1
    assert (await the_mail(school)).state == "sent"


# -- The mail server is gone, or goes.


@pytest.mark.parametrize("mood", ["drops_in_data", "hangs"])
async def test_a_server_that_leaves_or_says_nothing_gets_the_mail_later(
    school: School, mail_server: MailServer, settings: Settings, mood: Mood
) -> None:
    await absent(school)
    school.sender = Sender(school.database, msgspec.structs.replace(settings, smtp_timeout_s=0.2))
    mail_server.mood = mood
    await school.mails_are_sent()
    assert (await the_mail(school)).state == "retried"

    mail_server.mood = "well"
    await school.mails_are_sent()

    assert (await the_mail(school)).state == "sent"
    assert len(mail_server.mails) == 1


async def test_while_the_mail_server_is_gone_mails_wait(
    school: School, mail_server: MailServer, settings: Settings
) -> None:
    await absent(school)
    gone = Sender(school.database, msgspec.structs.replace(settings, smtp_url="smtp://127.0.0.1:1"))
    here, school.sender = school.sender, gone
    await school.mails_are_sent()
    assert (await the_mail(school)).state == "retried"

    school.sender = here
    await school.mails_are_sent()

    assert (await the_mail(school)).state == "sent"
    assert len(mail_server.mails) == 1


async def test_a_server_that_leaves_after_it_took_the_mail_gets_the_same_one_at_most(
    school: School, mail_server: MailServer
) -> None:
    await absent(school)
    mail_server.mood = "drops_after"
    await school.mails_are_sent()

    mail_server.mood = "well"
    await school.mails_are_sent()

    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1
    assert (await the_mail(school)).state == "sent"


# -- The sender dies.


async def test_what_a_sender_had_in_hand_when_it_died_is_taken_up_again(
    school: School, mail_server: MailServer, settings: Settings
) -> None:
    await absent(school)
    mail_server.mood = "hangs"
    patient = msgspec.structs.replace(settings, smtp_timeout_s=120)
    dying = asyncio.create_task(Sender(school.database, patient).send_next())
    async with asyncio.timeout(60):
        while (await the_mail(school)).attempts == 0:
            await asyncio.sleep(0.01)
    # Once is not enough: see `shared.cancellation`.
    while not dying.done():
        dying.cancel()
        await asyncio.sleep(0.01)

    mail_server.mood = "well"
    assert await school.sender.send_next() is False, "its lease still runs"
    await school.mails_are_sent()

    assert (await the_mail(school)).attempts == 2
    assert len(mail_server.mails) == 1


async def test_a_sender_that_dies_before_it_wrote_down_the_answer_sends_the_same_mail_again(
    school: School, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await absent(school)
    with monkeypatch.context() as dying:
        dying.setattr(queries, "settle", _die)
        with pytest.raises(ConnectionError):
            await school.mails_are_sent()

    await school.mails_are_sent()

    assert len(mail_server.mails) == 2
    assert mail_server.mails[0]["Message-ID"] == mail_server.mails[1]["Message-ID"]
    assert (await the_mail(school)).state == "sent"


async def test_a_mail_whose_senders_all_died_has_failed_in_the_end(
    school: School, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await absent(school)
    with monkeypatch.context() as dying:
        dying.setattr(queries, "settle", _die)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await school.mails_are_sent()

    await school.mails_are_sent()

    mail = await the_mail(school)
    assert (mail.state, mail.last_error) == ("failed", "The last attempt was interrupted.")
    assert len(mail_server.mails) == 3


async def _die(*_: object, **__: object) -> bool:
    raise ConnectionError


class Held:
    """A mail server that answers when it is told to."""

    def __init__(self, answer: Answer) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def send(self, *_: object, **__: object) -> Answer:
        self.reached.set()
        await self.released.wait()
        return self._answer


def held_sender(school: School, settings: Settings, answer: Answer) -> tuple[Sender, Held]:
    patient = msgspec.structs.replace(settings, smtp_timeout_s=120)
    sender, held = Sender(school.database, patient), Held(answer)
    sender._smtp = held  # pyright: ignore[reportAttributeAccessIssue]
    return sender, held


async def test_a_sender_that_was_overtaken_gives_the_mail_to_no_third(school: School, settings: Settings) -> None:
    await absent(school)
    slow, slow_server = held_sender(school, settings, Answer(kind="refused_for_now", text="451 Later"))
    second, second_server = held_sender(school, settings, Answer(kind="accepted", text="250 OK"))
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(slow.send_next())
        await slow_server.reached.wait()
        await school.mails_are_due()
        tasks.create_task(second.send_next())
        await second_server.reached.wait()

        slow_server.released.set()
        await asyncio.sleep(0.1)

        assert await school.sender.send_next() is False
        second_server.released.set()

    mail = await the_mail(school)
    assert (mail.state, mail.attempts) == ("sent", 2)
    assert await history(school, mail.delivery_id) == ["queued", "sent"]


async def test_two_senders_never_take_the_same_mail(
    school: School, mail_server: MailServer, settings: Settings
) -> None:
    for _ in range(6):
        await absent(school)

    await asyncio.gather(*(Sender(school.database, settings).send_due() for _ in range(3)))

    assert len(mail_server.mails) == 6
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 6


# -- What changed since.


async def test_a_correction_cancels_the_alert_that_was_not_yet_sent_and_is_not_sent_itself(
    school: School, mail_server: MailServer
) -> None:
    ada, _ = await absent(school)

    await school.mark(ada, absent=False)
    await school.mails_are_sent()

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["cancelled", "cancelled"]


async def test_a_correction_follows_an_alert_that_was_sent(school: School, mail_server: MailServer) -> None:
    ada, _ = await absent(school)
    await school.mails_are_sent()

    await school.mark(ada, absent=False)
    await school.mails_are_sent()

    assert [mail["Subject"] for mail in mail_server.mails] == ["Ada was marked absent", "Ada: absence corrected"]


async def test_a_correction_cancels_what_waits_for_another_attempt(school: School, mail_server: MailServer) -> None:
    ada, _ = await absent(school)
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()
    await school.mark(ada, absent=False)

    mail_server.mood = "well"
    await school.mails_are_sent()

    alert, correction = await school.deliveries()
    assert (alert.state, alert.last_error) == ("cancelled", "Corrected before it was sent.")
    # The server said no, but another time it may have been our connection that broke after its yes.
    assert correction.state == "sent"


async def test_an_absence_after_the_correction_is_mailed_though_the_first_was_cancelled(
    school: School, mail_server: MailServer
) -> None:
    ada, _ = await absent(school)
    await school.mark(ada, absent=False)
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await school.mails_are_sent()

    assert [mail["Subject"] for mail in mail_server.mails] == ["Ada was marked absent"]


@pytest.mark.parametrize("change", ["unlinked", "ended", "may_not_see", "wants_no_alerts", "guardian_gone"])
async def test_who_is_no_longer_to_hear_of_a_student_gets_no_mail_that_waits(
    school: School, mail_server: MailServer, change: str
) -> None:
    ada, mother = await absent(school)
    links: dict[str, dict[str, Any]] = {
        "unlinked": {"is_active": False},
        "ended": {"ends_on": days_ago(school, 1)},
        "may_not_see": {"may_see": False},
        "wants_no_alerts": {"receives_alerts": False},
    }
    if change in links:
        await school.link(mother, ada, **links[change])
    else:
        await school.guardian_leaves(mother)

    await school.mails_are_sent()

    assert mail_server.mails == []
    assert (await the_mail(school)).state == "cancelled"


async def test_a_correction_reaches_who_wants_no_further_alerts(school: School, mail_server: MailServer) -> None:
    ada, mother = await absent(school)
    await school.mails_are_sent()
    await school.link(mother, ada, receives_alerts=False)

    await school.mark(ada, absent=False)
    await school.mails_are_sent()

    assert [each.state for each in await school.deliveries()] == ["sent", "sent"]


# -- Codes.


async def test_an_invite_holds_its_code_in_the_mail_and_nowhere_else(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal
) -> None:
    invite = school.invite(seal.close(CODE), email="anne@home.test")
    delivery_id = await invited(school, worker, invite)
    reader = school.database.reader(school_id=school.school_id)
    before = await reader.value(str, ROW, delivery_id=delivery_id) or ""

    await school.mails_are_sent()

    after = await reader.value(str, ROW, delivery_id=delivery_id) or ""
    (mail,) = mail_server.to("anne@home.test")
    assert mail["Subject"] == "Your invitation to Lincoln Elementary"
    assert mail.get_content().rstrip().endswith(f"Code: {CODE}")
    assert invite.sealed_code in before
    assert invite.sealed_code not in after
    assert CODE not in before + after


async def test_the_same_invite_again_is_one_mail(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal
) -> None:
    invite, event_id = school.invite(seal.close(CODE)), new_id()
    for _ in range(2):
        await deliver(worker, invite, school_id=school.school_id, event_id=event_id)

    await school.mails_are_sent()

    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("mood", ["refuses_for_now", "refuses_recipient"])
async def test_the_code_is_kept_for_further_attempts_and_goes_with_the_last(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal, mood: Mood
) -> None:
    invite = school.invite(seal.close(CODE))
    await invited(school, worker, invite)
    mail_server.mood = mood
    kept: list[bool] = []

    for _ in range(3):
        await school.mails_are_sent()
        kept.append((await the_mail(school)).sealed_code is not None)

    assert kept == ([True, True, False] if mood == "refuses_for_now" else [False, False, False])


@pytest.mark.parametrize("email", ["", "nobody", "two@home.test, three@home.test"])
async def test_a_code_without_an_address_is_not_kept(school: School, worker: Worker, seal: Seal, email: str) -> None:
    await invited(school, worker, school.invite(seal.close(CODE), email=email))

    mail = await the_mail(school)
    assert (mail.state, mail.sealed_code) == ("unreachable", None)


async def test_a_code_that_has_expired_is_not_sent(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal
) -> None:
    await invited(school, worker, school.invite(seal.close(CODE), expires_at=clock.now() - timedelta(seconds=1)))

    await school.mails_are_sent()

    mail = await the_mail(school)
    assert mail_server.mails == []
    assert (mail.state, mail.sealed_code, mail.last_error) == ("cancelled", None, "The code has expired.")


async def test_a_code_sealed_with_another_key_is_tried_again_and_holds_up_nobody(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal
) -> None:
    await invited(school, worker, school.invite(Seal(Fernet.generate_key().decode()).close(CODE)))
    await invited(school, worker, school.invite(seal.close(CODE), email="anne@home.test"))

    await school.mails_are_sent()

    sealed, opened = await school.deliveries()
    assert (sealed.state, sealed.last_error) == ("retried", "The code cannot be opened.")
    assert opened.state == "sent"
    assert len(mail_server.mails) == 1


async def test_a_password_reset_is_mailed_without_a_school(
    school: School, worker: Worker, mail_server: MailServer, database: Database, seal: Seal
) -> None:
    event_id = new_id()
    reset = PasswordResetRequested(
        reset_id=new_id(),
        email="anne@home.test",
        sealed_code=seal.close(CODE),
        expires_at=clock.now() + timedelta(hours=1),
    )
    await deliver(worker, reset, school_id=None, event_id=event_id)

    await school.sender.send_due()

    (mail,) = mail_server.to("anne@home.test")
    row = await database.reader(school_id=PLATFORM).value(str, ROW, delivery_id=event_id) or ""
    assert mail["From"] == "Homeroom <homeroom@homeroom.test>"
    assert mail.get_content().rstrip().endswith(f"Code: {CODE}")
    assert '"sent"' in row
    assert reset.sealed_code not in row


# -- Names and addresses.


def attempt(**fields: Any) -> Attempt:
    given_fields: dict[str, Any] = {
        "delivery_id": new_id(),
        "notification_id": None,
        "category": "absence_alert",
        "recipient_person_id": None,
        "recipient_name": "Anne Byron",
        "student_id": None,
        "day": None,
        "address": "anne@home.test",
        "subject": "Ada was marked absent",
        "body": "Hello",
        "sealed_code": None,
        "expires_at": None,
        "traceparent": None,
        "created_at": datetime.fromisoformat("2026-09-01T08:00:00+00:00"),
        "attempts": 0,
        "school_name": "Lincoln Elementary",
        **fields,
    }
    return Attempt(**given_fields)


def composed(attempt: Attempt, *, code: str | None = None) -> EmailMessage:
    """As the recipient's mail program reads it."""
    now = datetime.fromisoformat("2026-09-01T08:00:00+00:00")
    message = mails.compose(attempt, mail_from="homeroom@homeroom.test", code=code, now=now, traceparent=None)
    return message_from_bytes(flatten_message(message, cte_type="7bit"), EmailMessage, policy=policy.default)


HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
    *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
}
written = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
awkward = st.text(st.sampled_from("aé中, ;:\"'\\()<>@.=?_\r\n\t\x00"), max_size=120)


@given(written | awkward, written | awkward, written | awkward, written)
def test_nothing_that_a_person_typed_becomes_a_header_or_a_recipient(
    name: str, school_name: str, subject: str, body: str
) -> None:
    mail = composed(attempt(recipient_name=name, school_name=school_name, subject=subject, body=body))

    assert set(mail.keys()) == HEADERS
    assert [each.addr_spec for each in mail["To"].addresses] == ["anne@home.test"]
    assert [each.addr_spec for each in mail["From"].addresses] == ["homeroom@homeroom.test"]


@pytest.mark.parametrize(
    "name", ["Müller, Jürgen", 'Anne "Annie" Byron', "O'Brien; Sean", "王小明", "Anne\r\nBcc: all@home.test"]
)
async def test_names_arrive_as_they_are_written_on_one_line(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal, name: str
) -> None:
    await invited(school, worker, school.invite(seal.close(CODE), name=name, school_name="Schule, Köln"))

    await school.mails_are_sent()

    (mail,) = mail_server.mails
    (to,) = mail["To"].addresses
    assert to.display_name == " ".join(name.split())
    assert mail["Bcc"] is None
    assert mail.get_content().splitlines()[0] == f"Hello {' '.join(name.split())},"
    assert mail["Subject"] == "Your invitation to Schule, Köln"


@pytest.mark.parametrize("email", ["jürgen@home.test", "anne@bücher.test"])
async def test_an_address_beyond_ascii_is_written_to_when_the_server_can(
    school: School, mail_server: MailServer, email: str
) -> None:
    await absent(school, email=email)
    mail_server.takes_utf8 = True

    await school.mails_are_sent()

    (mail,) = mail_server.mails
    assert mail["To"].addresses[0].addr_spec.encode("utf-8", "surrogateescape").decode() == email
    assert (await the_mail(school)).state == "sent"


@pytest.mark.parametrize("email", ["jürgen@home.test", "anne@bücher.test"])
async def test_an_address_beyond_ascii_is_unreachable_when_the_server_cannot(
    school: School, mail_server: MailServer, email: str
) -> None:
    await absent(school, email=email)

    await school.mails_are_sent()

    assert (await the_mail(school)).state == "unreachable"
    assert mail_server.mails == []


@pytest.mark.parametrize(
    "email",
    [
        *(None, "", "anne", "anne@", "@home.test", "a@b@c", "anne@home..test", ".anne@home.test", "anne@home.test."),
        *("anne@home.test\r\nBcc: x@y", "anne@home.test, ben@home.test", "Anne <anne@home.test>", "a b@home.test"),
        *("anne@[127.0.0.1]", "an\x00ne@home.test", "\u202eanne@home.test", "a" * 250 + "@home.test"),
    ],
)
def test_what_is_no_address_is_never_given_to_a_mail_server(email: str | None) -> None:
    assert rules.usable_address(email) is None


@given(st.emails())
def test_what_is_an_address_is_used_as_it_is_or_not_at_all(email: str) -> None:
    usable = rules.usable_address(email)

    assert usable in {None, email}
    if usable is not None:
        assert [each.addr_spec for each in composed(attempt(address=usable))["To"].addresses] == [email]


def test_a_mistake_in_our_own_address_stops_the_sender_at_the_start(database: Database, settings: Settings) -> None:
    with pytest.raises((MessageError, ValueError)):
        Sender(database, msgspec.structs.replace(settings, mail_from="homeroom"))
