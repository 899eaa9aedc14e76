"""Quiet hours hold mails and digests gather them: one a day, of what is still true when it goes out."""

import asyncio
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.notification.deliveries import queries as deliveries
from services.notification.deliveries import standing
from services.notification.deliveries.actions import Sender
from services.notification.digests import actions, rules
from services.notification.digests import queries as digest_queries
from services.notification.digests.schemas import Item, NewDigest
from services.notification.preferences.schemas import Choice, QuietHours
from services.notification.roster.schemas import UNKNOWN_SCHOOL
from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school, announcement, days_ago, guardian, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.tests.wishes import EVERY_DAY, NIGHT, Clock, daily, insist, wish
from services.notification.worker import create_worker
from shared.contracts.notification import DeliveryEnded
from shared.database import Database
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver, published
from shared.testing.stack import Stack
from shared.worker import Worker

NEXT_ATTEMPT = "SELECT next_attempt_at FROM delivery WHERE school_id = %(school_id)s AND delivery_id = %(delivery_id)s"
DIGESTS = "SELECT count(*) FROM digest WHERE school_id = %(school_id)s"


async def a_parent(school: School, *children: UUID, **fields: Any) -> UUID:
    """Who wants announcements and answers once a day."""
    parent = await school.guardian(*children)
    await wish(school, parent, *daily("announcements", "absence_reports"), **fields)
    return parent


async def send(school: School) -> None:
    """What is due by the clock, and nothing else."""
    await school.sender.send_due()


async def next_attempt(school: School) -> datetime | None:
    (mail,) = await school.deliveries()
    reader = school.database.reader(school_id=school.school_id)
    return await reader.value(datetime, NEXT_ATTEMPT, school_id=school.school_id, delivery_id=mail.delivery_id)


# -- Quiet hours.


async def test_a_mail_of_the_night_is_sent_in_the_morning_and_stands_in_the_app_at_once(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    tess = await school.teacher()
    await wish(school, tess, quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")

    await school.announce(somebody(tess))
    await send(school)
    assert await school.told() == [(tess, "announcement")]
    at.to("2026-06-11T06:59")
    await send(school)
    assert mail_server.mails == []
    at.to("2026-06-11T07:00")
    await send(school)

    assert len(mail_server.mails) == 1
    assert [each.attempts for each in await school.deliveries()] == [1]


async def test_quiet_is_by_the_clock_of_who_sleeps(school: School, mail_server: MailServer, at: Clock) -> None:
    here, there = await school.teacher(), await school.teacher()
    await wish(school, here, quiet_hours=NIGHT)
    await wish(school, there, quiet_hours=NIGHT, time_zone="Europe/Berlin")

    at.to("2026-06-10T18:00")
    await school.announce(somebody(here), somebody(there))
    await send(school)

    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(here)]


async def test_quiet_that_begins_while_a_mail_waits_holds_it(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    tess = await school.teacher()
    at.to("2026-06-10T20:50")
    await school.announce(somebody(tess))
    mail_server.mood = "refuses_for_now"
    await send(school)

    await wish(school, tess, quiet_hours=NIGHT)
    mail_server.mood = "well"
    at.to("2026-06-10T21:30")
    await send(school)

    assert mail_server.mails == []
    assert await next_attempt(school) == datetime.fromisoformat("2026-06-11T07:00:00-04:00")
    at.to("2026-06-11T07:00")
    await send(school)
    assert len(mail_server.mails) == 1


async def test_an_emergency_wakes_people(school: School, mail_server: MailServer, at: Clock) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily(), quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")

    await school.announce(somebody(tess), is_urgent=True)
    await send(school)

    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("breaks", [True, False])
async def test_whether_an_alert_breaks_quiet_hours_is_the_schools_to_say(
    school: School, mail_server: MailServer, at: Clock, breaks: bool
) -> None:
    await insist(school, alerts_break_quiet_hours=breaks)
    ada = await school.student()
    mother = await school.guardian(ada)
    await wish(school, mother, quiet_hours=QuietHours(starts_at=time(9), ends_at=time(15), days=EVERY_DAY))
    school.today = at.now().date()
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await send(school)
    assert len(mail_server.mails) == (1 if breaks else 0)

    at.to("2026-06-10T15:00")
    await send(school)
    assert len(mail_server.mails) == 1


async def test_a_correction_wakes_nobody(school: School, mail_server: MailServer, at: Clock) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await wish(school, mother, quiet_hours=NIGHT)
    school.today = at.now().date()
    at.to("2026-06-10T22:00")
    await school.mark(ada, absent=True)
    await school.grace_ends()
    await send(school)
    at.to("2026-06-10T23:00")
    await school.mark(ada, absent=False)
    await send(school)
    assert [mail["Subject"] for mail in mail_server.mails] == ["Ada was marked absent"]

    at.to("2026-06-11T07:00")
    await send(school)

    assert [mail["Subject"] for mail in mail_server.mails] == ["Ada was marked absent", "Ada: absence corrected"]


@pytest.mark.parametrize("change", ["withdrawn", "unlinked", "left"])
async def test_a_mail_that_is_held_is_not_sent_when_it_is_no_longer_true(
    school: School, mail_server: MailServer, at: Clock, change: str
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await wish(school, mother, quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")
    id_ = await school.announce(guardian(mother, ada))

    match change:
        case "withdrawn":
            await school.withdraw(id_)
            await send(school)
            assert [each.state for each in await school.deliveries()] == ["cancelled"], "at once, not in the morning"
        case "unlinked":
            await school.link(mother, ada, is_active=False)
        case _:
            await school.guardian_leaves(mother)
    at.to("2026-06-11T07:00")
    await send(school)

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["cancelled"]


async def test_an_alert_that_is_held_is_cancelled_by_its_correction(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    await insist(school, alerts_break_quiet_hours=False)
    ada = await school.student()
    mother = await school.guardian(ada)
    await wish(school, mother, quiet_hours=QuietHours(starts_at=time(9), ends_at=time(15), days=EVERY_DAY))
    school.today = at.now().date()
    await school.mark(ada, absent=True)
    await school.grace_ends()
    await send(school)
    await school.mark(ada, absent=False)

    at.to("2026-06-10T15:00")
    await send(school)

    assert mail_server.mails == []
    assert {each.state for each in await school.deliveries()} == {"cancelled"}


async def test_codes_know_no_quiet(
    school: School, worker: Worker, settings: Settings, mail_server: MailServer, at: Clock
) -> None:
    at.to("2026-06-10T23:00")
    invite = school.invite(Seal(settings.seal_key).close("1234"))
    await deliver(worker, invite, school_id=school.school_id)
    await send(school)

    assert len(mail_server.mails) == 1


# -- The digest.


async def test_a_digest_is_one_mail_for_all_children_at_its_hour(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = await a_parent(school, ada, ben)
    await school.announce(guardian(mother, ben), title="Ben first")
    at.to("2026-06-10T11:00")
    await school.announce(guardian(mother, ada), title="Ada second")
    await school.announce(guardian(mother, ada, ben), title="Both third")
    at.to("2026-06-10T12:30")
    await school.announce(guardian(mother, ben), title="Ben fourth")

    at.to("2026-06-10T16:59")
    await send(school)
    assert mail_server.mails == []
    at.to("2026-06-10T17:00")
    await send(school)
    await send(school)

    (mail,) = mail_server.mails
    assert mail["To"].addresses[0].username == str(mother)
    assert mail["Subject"] == "Lincoln Elementary: 4 notifications"
    assert mail["List-Unsubscribe"] == "<http://gateway.test/notification-preferences>"
    body = mail.get_content()
    order = ["== Ada ==", "Ada second", "== Ada and Ben ==", "Both third", "== Ben ==", "Ben first", "Ben fourth"]
    assert sorted(order, key=body.index) == order
    assert "Wed 12:30  Ben fourth" in body
    assert "http://gateway.test/notification-preferences" in body
    assert [each.category for each in await school.deliveries()] == ["digest"]


async def test_without_anything_to_tell_there_is_no_digest(school: School, mail_server: MailServer, at: Clock) -> None:
    ada = await school.student()
    await a_parent(school, ada)

    at.to("2026-06-10T17:00")
    await send(school)

    assert await school.deliveries() == []
    assert mail_server.mails == []


async def test_the_next_digest_holds_what_came_since_the_last(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    await school.announce(somebody(tess), title="Before")
    at.to("2026-06-10T17:00")
    await send(school)
    at.to("2026-06-10T17:01")
    await school.announce(somebody(tess), title="After")
    await send(school)
    at.to("2026-06-11T17:00")
    await send(school)

    first, second = mail_server.mails
    assert "Before" in first.get_content()
    assert "After" not in first.get_content()
    assert "After" in second.get_content()
    assert "Before" not in second.get_content()


async def test_what_comes_while_the_digest_of_the_day_is_tried_goes_into_the_next(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    await school.announce(somebody(tess), title="Before")
    mail_server.mood = "refuses_for_now"
    at.to("2026-06-10T17:00")
    await send(school)
    # The choice of a later hour must not bring a second digest of the same day either.
    await wish(school, tess, *daily(), digest_hour=20)
    await school.announce(somebody(tess), title="After")
    mail_server.mood = "well"
    at.to("2026-06-10T20:00")
    await send(school)

    (mail,) = mail_server.mails
    assert "Before" in mail.get_content()
    assert "After" not in mail.get_content()
    at.to("2026-06-11T20:00")
    await send(school)
    assert "After" in mail_server.mails[1].get_content()


async def test_a_digest_comes_by_the_clock_of_its_reader_and_not_in_quiet_hours(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    berlin, sleeper = await school.teacher(), await school.teacher()
    await wish(school, berlin, *daily(), time_zone="Europe/Berlin", digest_hour=18)
    await wish(school, sleeper, *daily(), digest_hour=22, quiet_hours=NIGHT)
    await school.announce(somebody(berlin), somebody(sleeper))

    at.to("2026-06-10T12:00")
    await send(school)
    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(berlin)]
    assert "Wed 16:00  School trip" in mail_server.mails[0].get_content()
    at.to("2026-06-11T06:59")
    await send(school)
    assert len(mail_server.mails) == 1
    at.to("2026-06-11T07:00")
    await send(school)

    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(berlin), str(sleeper)]


async def test_what_is_no_longer_true_when_a_digest_goes_out_is_not_in_it(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    await insist(school, at_once=[])
    ada, ben, cleo = [await school.student(name) for name in ("Ada", "Ben", "Cleo")]
    mother = await school.guardian(ada, ben, cleo)
    await wish(school, mother, *daily("announcements", "absences", "absence_reports"))
    school.today = at.now().date()
    await school.mark(ada, absent=True)
    await school.mark(cleo, absent=True)
    await school.grace_ends()
    await school.mark(ada, absent=False)
    withdrawn = await school.announce(guardian(mother, ada), title="Withdrawn")
    await school.withdraw(withdrawn)
    await school.announce(guardian(mother, ben), title="Out of sight")
    await school.link(mother, ben, ends_on=days_ago(school, 1))
    await school.announce(guardian(mother, cleo), title="Kept")

    at.to("2026-06-10T17:00")
    await send(school)

    (mail,) = mail_server.mails
    assert mail["Subject"] == "Lincoln Elementary: 2 notifications"
    body = mail.get_content()
    assert "Cleo was marked absent" in body
    assert "Kept" in body
    assert not {each for each in ("Ada", "Withdrawn", "Out of sight") if each in body}


async def test_a_child_that_is_out_of_sight_is_not_named(school: School, mail_server: MailServer, at: Clock) -> None:
    ada, ben, cleo = [await school.student(name) for name in ("Ada", "Ben", "Cleo")]
    mother = await a_parent(school, ada, ben, cleo)
    await school.announce(guardian(mother, ada, ben, cleo))
    await school.link(mother, ben, ends_on=at.now().date() - timedelta(days=1))

    at.to("2026-06-10T17:00")
    await send(school)

    (mail,) = mail_server.mails
    assert "== Ada and Cleo ==" in mail.get_content()
    assert "Ben" not in mail.get_content()


async def test_who_has_children_at_two_schools_gets_a_digest_of_each(
    school: School,
    worker: Worker,
    settings: Settings,
    database: Database,
    announcer: Any,
    mail_server: MailServer,
    at: Clock,
) -> None:
    other = await a_school(worker, settings, database, announcer)
    for each, name in ((school, "Ada"), (other, "Ben")):
        child = await each.student(name)
        mother = await each.guardian(child, email="anne@home.test")
        await wish(each, mother, *daily())
        await each.announce(guardian(mother, child))

    at.to("2026-06-10T17:00")
    await send(school)

    assert [mail["To"].addresses[0].addr_spec for mail in mail_server.mails] == ["anne@home.test"] * 2
    assert sorted(mail.get_content().splitlines()[0] for mail in mail_server.mails) == ["== Ada ==", "== Ben =="]


async def alerted_by_digest(school: School, at: Clock) -> tuple[UUID, UUID]:
    """A student, and the mother for whom the alert of today's absence waits in a digest."""
    await insist(school, at_once=[])
    ada = await school.student("Ada")
    mother = await school.guardian(ada)
    await wish(school, mother, *daily("absences"))
    school.today = at.now().date()
    await school.mark(ada, absent=True)
    await school.grace_ends()
    return ada, mother


async def test_a_correction_of_what_an_earlier_digest_told_is_told(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, _ = await alerted_by_digest(school, at)
    at.to("2026-06-10T17:00")
    await send(school)
    await school.mark(ada, absent=False)
    at.to("2026-06-11T17:00")
    await send(school)

    alert, correction = mail_server.mails
    assert "Ada was marked absent" in alert.get_content()
    assert "Ada: absence corrected" in correction.get_content()


@pytest.mark.parametrize("has_gone_out", [True, False])
async def test_a_correction_at_once_follows_an_alert_that_a_digest_told_and_no_other(
    school: School, mail_server: MailServer, at: Clock, has_gone_out: bool
) -> None:
    ada, mother = await alerted_by_digest(school, at)
    at.to("2026-06-10T17:00" if has_gone_out else "2026-06-10T16:00")
    await send(school)
    await wish(school, mother)
    await school.mark(ada, absent=False)
    await send(school)
    at.to("2026-06-10T18:00")
    await send(school)

    subjects = [mail["Subject"] for mail in mail_server.mails]
    assert subjects == (["Lincoln Elementary: 1 notification", "Ada: absence corrected"] if has_gone_out else [])


async def test_control_who_asks_only_for_the_alerts_own_mail_never_corrects_what_a_digest_told(
    school: School, mail_server: MailServer, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOCK_TRIED_DIGEST", standing.LOCK_TRIED_ALERT)
    ada, mother = await alerted_by_digest(school, at)
    at.to("2026-06-10T17:00")
    await send(school)
    await wish(school, mother)

    await school.mark(ada, absent=False)
    await send(school)

    assert [mail["Subject"] for mail in mail_server.mails] == ["Lincoln Elementary: 1 notification"]


async def test_a_digest_of_which_nothing_is_left_is_not_sent(
    school: School, mail_server: MailServer, at: Clock, stack: Stack
) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    await school.withdraw(await school.announce(somebody(tess)))

    at.to("2026-06-10T17:00")
    await send(school)

    assert mail_server.mails == []
    (mail,) = await school.deliveries()
    assert (mail.state, mail.last_error) == ("cancelled", "Nothing is left to tell.")
    ended = [
        msgspec.json.decode(each.data, type=DeliveryEnded)
        for each in published(stack.database_url("notification"), school.school_id)
        if each.type == DeliveryEnded.__struct_config__.tag
    ]
    assert [(each.category, each.state, each.recipient_id) for each in ended] == [("digest", "cancelled", tess)]


async def test_who_wants_nothing_by_then_gets_no_digest(school: School, mail_server: MailServer, at: Clock) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    await school.announce(somebody(tess))

    await wish(school, tess, Choice(group="announcements", channel="email", frequency="never"))
    at.to("2026-06-10T17:00")
    await send(school)

    assert mail_server.mails == []


async def test_who_cannot_be_reached_by_a_digest_is_on_record_once_for_each_notice(school: School, at: Clock) -> None:
    ada = await school.student()
    mother = await school.guardian(ada, email=None)
    await wish(school, mother, *daily())

    for _ in range(2):
        await school.announce(guardian(mother, ada))

    found = [(each.category, each.state) for each in await school.deliveries()]
    assert found == [("announcement", "unreachable")] * 2


# -- Exactly one, whoever is at work and whoever dies.


async def all_at_once(
    school: School, settings: Settings, database: Database, announcer: Any, worker: Worker, at: Clock
) -> list[UUID]:
    """Two workers put eight announcements, each heard of twice, into digests of ten; three senders send them."""
    teachers = [await school.teacher() for _ in range(10)]
    for each in teachers:
        await wish(school, each, *daily())
    second = create_worker(settings, database, announcer)
    events = [announcement(new_id(), *map(somebody, teachers[:: 1 if n % 2 else -1]), title=f"<{n}>") for n in range(8)]
    ids = [new_id() for _ in events]
    await asyncio.gather(
        *(
            deliver(one, event, school_id=school.school_id, event_id=event_id)
            for event, event_id in zip(events, ids, strict=True)
            for one in (worker, second)
        )
    )
    at.to("2026-06-10T17:00")
    await asyncio.gather(*(Sender(database, settings).send_due() for _ in range(3)))
    await second.bus.close()
    return teachers


async def test_two_workers_put_everything_into_one_digest(
    school: School,
    settings: Settings,
    database: Database,
    announcer: Any,
    worker: Worker,
    mail_server: MailServer,
    at: Clock,
) -> None:
    teachers = await all_at_once(school, settings, database, announcer, worker, at)

    assert sorted(mail["To"].addresses[0].username for mail in mail_server.mails) == sorted(map(str, teachers))
    for mail in mail_server.mails:
        assert mail["Subject"] == "Lincoln Elementary: 8 notifications"
        assert all(f"<{n}>" in mail.get_content() for n in range(8))


async def test_control_without_the_day_as_its_key_there_are_several_digests(
    school: School,
    settings: Settings,
    database: Database,
    announcer: Any,
    worker: Worker,
    mail_server: MailServer,
    at: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_a_day, numbers = actions._next, count()

    def of_its_own(*args: Any) -> tuple[date, datetime]:
        day, due_at = of_a_day(*args)
        return day + timedelta(days=next(numbers)), due_at

    monkeypatch.setattr(actions, "_next", of_its_own)

    teachers = await all_at_once(school, settings, database, announcer, worker, at)

    assert len(mail_server.mails) > len(teachers)


async def while_it_goes_out(
    school: School, settings: Settings, database: Database, worker: Worker, mail_server: MailServer, at: Clock
) -> list[list[int]]:
    """How often each of eleven announcements stands in the digests of each of five teachers."""
    teachers = [await school.teacher() for _ in range(5)]
    for each in teachers:
        await wish(school, each, *daily())
    await school.announce(*map(somebody, teachers), title="<10>")
    at.to("2026-06-10T16:59")

    async def announce(number: int) -> None:
        await asyncio.sleep(number / 100)
        event = announcement(new_id(), *map(somebody, teachers), title=f"<{number}>")
        await deliver(worker, event, school_id=school.school_id)

    async def go_out() -> None:
        await asyncio.sleep(0.05)
        await school.mails_are_due()
        await asyncio.gather(*(Sender(database, settings).send_due() for _ in range(2)))

    await asyncio.gather(go_out(), *(announce(number) for number in range(6)))
    # A sender's clock was a little ahead: it is still before five, and the digest of today has gone out.
    for number in range(6, 10):
        await announce(number)
    for day in (11, 12):
        at.to(f"2026-06-{day}T17:00")
        await send(school)
    found = [[mail.get_content() for mail in mail_server.to(str(each))] for each in teachers]
    assert all(len(mails) <= 2 for mails in found)
    return [[sum(f"<{number}>" in mail for mail in mails) for number in range(11)] for mails in found]


async def test_what_comes_while_a_digest_goes_out_stands_in_that_or_in_the_next(
    school: School, settings: Settings, database: Database, worker: Worker, mail_server: MailServer, at: Clock
) -> None:
    found = await while_it_goes_out(school, settings, database, worker, mail_server, at)

    assert found == [[1] * 11] * 5


async def test_control_a_digest_that_is_not_asked_whether_it_takes_more_loses_what_comes_late(
    school: School,
    settings: Settings,
    database: Database,
    worker: Worker,
    mail_server: MailServer,
    at: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def all_open(_: Any, __: UUID, wanted: list[NewDigest]) -> set[UUID]:
        return {each.recipient_id for each in wanted}

    monkeypatch.setattr(digest_queries, "still_open", all_open)

    found = await while_it_goes_out(school, settings, database, worker, mail_server, at)

    assert 0 in {times for each in found for times in each}


async def test_a_digest_survives_that_its_sender_dies(
    school: School, mail_server: MailServer, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    await school.announce(somebody(tess))
    at.to("2026-06-10T17:00")
    with monkeypatch.context() as dying:
        dying.setattr(deliveries, "count_attempt", _die)
        await send(school)
    assert mail_server.mails == []
    await school.mails_are_due()
    with monkeypatch.context() as dying:
        dying.setattr(deliveries, "settle", _die)
        with pytest.raises(ConnectionError):
            await send(school)
    await school.mails_are_due()

    await send(school)
    await send(school)

    assert {mail["Message-ID"] for mail in mail_server.mails} == {
        f"<{each.delivery_id}@homeroom>" for each in await school.deliveries()
    }
    assert [each.state for each in await school.deliveries()] == ["sent"]
    assert await school.database.reader(school_id=school.school_id).value(int, DIGESTS, school_id=school.school_id) == 1


async def _die(*_: object, **__: object) -> bool:
    raise ConnectionError


async def test_a_digest_that_cannot_be_written_holds_up_no_other_mail(
    school: School, mail_server: MailServer, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, other = await school.teacher(), await school.teacher()
    await wish(school, reader, *daily())
    await school.announce(somebody(reader))
    at.to("2026-06-10T17:00")
    await school.announce(somebody(other))
    with monkeypatch.context() as broken:
        broken.setattr(rules, "digest_text", _cannot)
        await send(school)
    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(other)]

    at.to("2026-06-10T17:05")
    await send(school)

    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(other), str(reader)]


def _cannot(*_: object, **__: object) -> Any:
    raise ValueError


async def test_a_teller_that_dies_half_way_leaves_no_digest_and_loses_nothing(
    school: School, worker: Worker, mail_server: MailServer, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    event, event_id = announcement(new_id(), somebody(tess)), new_id()
    for dies_at in ("open_digests", "add_items"):
        with monkeypatch.context() as dying:
            dying.setattr(digest_queries, dies_at, _die)
            await deliver(worker, event, school_id=school.school_id, event_id=event_id)
        assert await school.told() == []
        assert await school.deliveries() == []

    await deliver(worker, event, school_id=school.school_id, event_id=event_id)
    at.to("2026-06-10T17:00")
    await send(school)

    assert len(mail_server.mails) == 1


# -- How it reads.


def test_a_digest_is_by_child_and_time_with_the_school_last() -> None:
    ada, ben = UUID(int=1), UUID(int=2)
    at = datetime.fromisoformat("2026-06-10T14:00:00+00:00")

    def item(title: str, minutes: int, *children: UUID) -> Item:
        return Item(
            notification_id=UUID(int=minutes),
            category="announcement",
            student_ids=list(children),
            in_sight=list(children),
            title=title,
            body="Body",
            deep_link="/there",
            created_at=at + timedelta(minutes=minutes),
        )

    text = rules.digest_text(
        [item("d", 4), item("c", 3, ben), item("b", 2, ada), item("a", 1, ben), item("e", 5, UUID(int=3))],
        {ada: "Ada", ben: "Ben"},
        school=msgspec.structs.replace(UNKNOWN_SCHOOL, name="Lincoln"),
        time_zone="America/New_York",
        public_url="http://front",
    )

    headings = [line for line in text.body.splitlines() if line.startswith("==")]
    assert headings == ["== Ada ==", "== Ben ==", "== Your child ==", "== Lincoln =="]
    assert [line[-1] for line in text.body.splitlines() if line.startswith("Wed ")] == ["b", "a", "c", "e", "d"]
    assert "Wed 10:01  a\nBody\nhttp://front/there" in text.body
