"""Announcements, absence reports and missing registers: each told once, to whom it is for, in any order."""

import asyncio
from itertools import permutations
from typing import Any

import msgspec
import pytest

from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school, announcement, days_ago, guardian, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.tests.seen import Seen
from services.notification.worker import create_worker
from shared import clock, telemetry
from shared.contracts.communication import AnnouncementWithdrawn
from shared.contracts.notification import AnnouncementDelivered, DeliveryEnded
from shared.database import Database
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver, published
from shared.testing.stack import Stack
from shared.worker import Worker


def told_others(stack: Stack, school: School, event: type[msgspec.Struct]) -> list[Any]:
    tag = event.__struct_config__.tag
    envelopes = published(stack.database_url("notification"), school.school_id)
    return [msgspec.json.decode(each.data, type=event) for each in envelopes if each.type == tag]


# -- Announcements.


async def test_an_announcement_reaches_each_of_its_audience_once_in_the_app_and_by_mail(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    ada = await school.student("Ada")
    mother, tess = await school.guardian(ada), await school.teacher()
    office = await school.admin(email="office@school.test")

    id_ = await school.announce(guardian(mother, ada), somebody(tess), somebody(office, "school_admin"))
    await school.mails_are_sent()

    for who, role in ((mother, "guardian"), (tess, "teacher"), (office, "school_admin")):
        (item,) = await seen.items(who, role)
        assert (item["title"], item["body"]) == ("School trip", "We go to the sea.")
        assert (item["category"], item["deep_link"]) == ("announcement", f"/announcements/{id_}")
    to = {mail["To"].addresses[0].addr_spec for mail in mail_server.mails}
    assert to == {f"{mother}@home.test", f"{tess}@school.test", "office@school.test"}
    assert len(mail_server.mails) == 3
    assert f"http://gateway.test/announcements/{id_}" in mail_server.mails[0].get_content()
    assert {mail["List-Unsubscribe"] for mail in mail_server.mails} == {
        "<http://gateway.test/notification-preferences>"
    }


async def test_a_guardian_of_two_hears_of_an_announcement_once(school: School, seen: Seen) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = await school.guardian(ada, ben)

    await school.announce(guardian(mother, ada), guardian(mother, ben))

    (item,) = await seen.items(mother)
    assert item["student_id"] is None
    assert sorted(item["student_ids"]) == sorted([str(ada), str(ben)])
    assert await seen.titles(mother, student_id=str(ben)) == ["School trip"]
    assert len(await school.deliveries()) == 1


async def test_an_announcement_stays_in_sight_while_any_of_the_children_does(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother, father = await school.guardian(ada, ben), await school.guardian(ada, ben)
    await school.announce(guardian(mother, ada, ben), guardian(father, ada, ben))

    await school.link(mother, ada, is_active=False)
    for child in (ada, ben):
        await school.link(father, child, ends_on=days_ago(school, 1))
    await school.mails_are_sent()

    assert (await seen.titles(mother), await seen.titles(father)) == (["School trip"], [])
    assert [mail["To"].addresses[0].addr_spec for mail in mail_server.mails] == [f"{mother}@home.test"]


async def test_an_edition_is_told_anew_and_the_same_one_is_not(school: School) -> None:
    tess = await school.teacher()
    id_ = await school.announce(somebody(tess))

    await school.announce(somebody(tess), announcement_id=id_, part=2)
    await school.announce(somebody(tess), announcement_id=id_, edition=2, title="School trip, later")

    assert [each.title for each in await school.notified()] == ["School trip", "School trip, later"]
    assert len(await school.deliveries()) == 2


async def test_who_has_no_known_address_reads_it_in_the_app_and_is_not_called_unreachable(
    school: School, seen: Seen
) -> None:
    tess, office, pupil = await school.teacher(email=None), await school.admin(), await school.student()

    await school.announce(somebody(tess), somebody(office, "school_admin"), somebody(pupil, "student"))

    assert await seen.titles(office, "school_admin") == ["School trip"]
    assert len(await school.told()) == 3
    assert await school.deliveries() == []


async def test_a_guardian_without_an_address_is_on_record_as_not_reached(school: School, stack: Stack) -> None:
    ada = await school.student()
    mother = await school.guardian(ada, email=None)

    await school.announce(guardian(mother, ada))

    (delivery,) = await school.deliveries()
    assert (delivery.state, delivery.category) == ("unreachable", "announcement")
    (ended,) = told_others(stack, school, DeliveryEnded)
    assert (ended.state, ended.recipient_id, ended.delivery_id) == ("unreachable", mother, delivery.delivery_id)


async def test_delivered_is_said_of_whom_it_was_delivered_to_and_once(school: School, stack: Stack) -> None:
    tess, tom = await school.teacher(), await school.teacher()
    id_ = await school.announce(somebody(tess))

    await school.announce(somebody(tess), announcement_id=id_)
    await school.announce(somebody(tess), somebody(tom), announcement_id=id_, part=2)

    told = told_others(stack, school, AnnouncementDelivered)
    assert [(each.announcement_id, each.edition, each.recipient_ids) for each in told] == [
        (id_, 1, [tess]),
        (id_, 1, [tom]),
    ]


async def test_what_is_withdrawn_leaves_the_inbox_and_its_mails_are_not_sent(
    school: School, seen: Seen, mail_server: MailServer, stack: Stack
) -> None:
    tess = await school.teacher()
    id_, other = await school.announce(somebody(tess)), await school.announce(somebody(tess), title="Another")

    await school.withdraw(id_)
    await school.withdraw(id_)
    await school.mails_are_sent()

    assert await seen.titles(tess, "teacher") == ["Another"]
    assert [mail["Subject"] for mail in mail_server.mails] == ["Another"]
    assert {each.state for each in await school.deliveries()} == {"cancelled", "sent"}
    assert {each.state for each in told_others(stack, school, DeliveryEnded)} == {"cancelled", "sent"}
    assert id_ != other


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_parts_editions_and_a_withdrawal_in_any_order_and_number_end_the_same(
    school: School, worker: Worker, seen: Seen, mail_server: MailServer, order: tuple[int, ...]
) -> None:
    tess, tom = await school.teacher(), await school.teacher()
    withdrawn, kept = new_id(), new_id()
    events = [
        announcement(withdrawn, somebody(tess)),
        announcement(withdrawn, somebody(tom), part=2),
        AnnouncementWithdrawn(announcement_id=withdrawn, withdrawn_at=clock.now()),
        announcement(kept, somebody(tess), title="Kept"),
    ]

    for number in (*order, *order):
        await deliver(worker, events[number], school_id=school.school_id)
    await school.mails_are_sent()

    assert await seen.titles(tess, "teacher") == ["Kept"]
    assert await seen.titles(tom, "teacher") == []
    assert [mail["Subject"] for mail in mail_server.mails] == ["Kept"]


async def test_two_workers_with_the_same_part_tell_each_once(
    school: School, settings: Settings, database: Database, announcer: Any, worker: Worker
) -> None:
    teachers = [await school.teacher() for _ in range(20)]
    second = create_worker(settings, database, announcer)
    id_ = new_id()
    parts = [announcement(id_, *map(somebody, each), part=n) for n, each in enumerate((teachers, teachers[::-1]))]

    await asyncio.gather(
        *(deliver(one, part, school_id=school.school_id) for part in parts for one in (worker, second, worker))
    )

    assert sorted(await school.told()) == sorted((each, "announcement") for each in teachers)
    assert len(await school.deliveries()) == 20
    await second.bus.close()


async def test_a_teacher_who_has_left_gets_no_mail_that_waits(school: School, mail_server: MailServer) -> None:
    tess = await school.teacher()
    await school.announce(somebody(tess))

    await school.teacher(teacher_id=tess, is_active=False)
    await school.mails_are_sent()

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["cancelled"]


async def test_an_admin_who_has_left_gets_no_mail_that_waits(school: School, mail_server: MailServer) -> None:
    office = await school.admin(email="office@school.test")
    await school.announce(somebody(office, "school_admin"))

    await school.admin(user_id=office, email="office@school.test", is_active=False)
    await school.mails_are_sent()

    assert mail_server.mails == []


async def test_a_long_announcement_is_shortened_in_the_app_and_less_so_by_mail(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    await school.announce(somebody(tess), body="word " * 2000)

    await school.mails_are_sent()

    (item,) = await seen.items(tess, "teacher")
    assert len(item["body"]) <= 500
    assert item["body"].endswith("word…")
    assert 3000 < len(mail_server.mails[0].get_content()) < 5000


async def test_an_announcement_to_five_thousand_is_a_handful_of_statements(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    database_call = telemetry.database_call

    def counted() -> Any:
        asked.append(1)
        return database_call()

    with monkeypatch.context() as counting:
        counting.setattr(telemetry, "database_call", counted)
        await school.announce(*(somebody(new_id()) for _ in range(5000)))

    assert len(asked) < 20
    assert len(await school.told()) == 5000


async def test_another_school_hears_nothing_of_it(
    school: School, worker: Worker, settings: Settings, database: Database, announcer: Any, seen: Seen
) -> None:
    other = await a_school(worker, settings, database, announcer)
    tess, id_ = await school.teacher(), new_id()
    await school.announce(somebody(tess), announcement_id=id_)

    await other.withdraw(id_)

    assert await seen.titles(tess, "teacher") == ["School trip"]
    assert await other.told() == []


# -- Absence reports.


async def test_the_office_hears_of_leave_that_waits_and_not_any_more_once_it_is_answered(
    school: School, seen: Seen
) -> None:
    ada = await school.student("Ada")
    mother, office, clerk = await school.guardian(ada), await school.admin(), await school.admin()
    report = school.report(ada, guardian_id=mother)
    await school.hear(report, about="report")
    (item,) = await seen.items(office, "school_admin")
    assert item["title"] == "Ada: request for leave to decide"
    assert item["deep_link"] == f"/absence-reports/{report.absence_report_id}"

    accepted = msgspec.structs.replace(report, state="accepted", answer="Have a good trip.", changed_by=office)
    await school.hear(accepted, about="report")

    assert await seen.items(office, "school_admin") == await seen.items(clerk, "school_admin") == []
    (answer,) = await seen.items(mother)
    assert answer["title"] == "Ada: request for leave accepted"
    assert "It says: Have a good trip." in answer["body"]
    assert answer["deep_link"] == f"/students/{ada}/absence-reports/{report.absence_report_id}"


async def test_nobody_is_told_about_their_own_report_or_answer(school: School, seen: Seen) -> None:
    ada = await school.student()
    mother, office, clerk = await school.guardian(ada), await school.admin(), await school.admin()
    await school.login(mother, user_id=office)

    await school.hear(school.report(ada, guardian_id=mother, changed_by=office), about="one")
    await school.hear(school.report(ada, guardian_id=mother, changed_by=office, state="accepted"), about="two")

    assert await seen.items(office, "school_admin") == []
    assert len(await seen.items(clerk, "school_admin")) == 1
    assert await seen.items(mother) == []


async def test_an_absence_that_explains_by_itself_is_no_work_for_the_office(school: School, seen: Seen) -> None:
    ada = await school.student("Ada")
    mother, office = await school.guardian(ada), await school.admin()
    report = school.report(ada, guardian_id=mother, kind="absence")

    await school.hear(report, about="report")
    assert await seen.items(office, "school_admin") == []
    await school.hear(msgspec.structs.replace(report, state="refused"), about="report")

    assert await seen.titles(mother) == ["Ada: absence refused"]


async def test_a_report_that_is_taken_back_leaves_the_office(school: School, seen: Seen) -> None:
    ada = await school.student()
    mother, office = await school.guardian(ada), await school.admin()
    report = school.report(ada, guardian_id=mother)
    await school.hear(report, about="report")

    await school.hear(msgspec.structs.replace(report, state="withdrawn"), about="report")

    assert await seen.items(office, "school_admin") == await seen.items(mother) == []


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
async def test_reports_in_any_order_and_number_end_with_the_newest_answer(
    school: School, seen: Seen, order: tuple[int, ...]
) -> None:
    ada = await school.student("Ada")
    mother, office = await school.guardian(ada), await school.admin()
    report = school.report(ada, guardian_id=mother)
    states = {1: "pending", 2: "refused", 3: "accepted"}

    for version in (*order, *order):
        event = msgspec.structs.replace(report, state=states[version])
        await school.hear(event, about="report", version=version)

    assert await seen.titles(mother) == ["Ada: request for leave accepted"]
    assert await seen.titles(office, "school_admin") == []


async def test_a_guardian_who_lost_sight_of_the_child_does_not_read_the_answer(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.hear(school.report(ada, guardian_id=mother, state="refused"), about="report")

    await school.link(mother, ada, is_active=False)
    await school.mails_are_sent()

    assert await seen.items(mother) == []
    assert mail_server.mails == []


# -- How mails ended.


async def test_others_hear_once_how_each_mail_ended(school: School, mail_server: MailServer, stack: Stack) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()
    assert told_others(stack, school, DeliveryEnded) == []

    mail_server.mood = "well"
    await school.mails_are_sent()
    await school.mails_are_sent()

    (ended,) = told_others(stack, school, DeliveryEnded)
    assert (ended.category, ended.state, ended.recipient_id) == ("absence_alert", "sent", mother)
    assert (ended.student_id, ended.day) == (ada, school.today)


async def test_others_hear_that_there_was_nobody_to_tell(school: School, stack: Stack) -> None:
    ada = await school.student()
    await school.mark(ada, absent=True)
    await school.grace_ends()

    (ended,) = told_others(stack, school, DeliveryEnded)
    assert (ended.state, ended.recipient_id, ended.student_id) == ("unreachable", None, ada)


async def test_of_codes_others_hear_nothing(
    school: School, worker: Worker, settings: Settings, stack: Stack, mail_server: MailServer
) -> None:
    await deliver(worker, school.invite(Seal(settings.seal_key).close("1234")), school_id=school.school_id)
    await school.mails_are_sent()

    assert len(mail_server.mails) == 1
    assert told_others(stack, school, DeliveryEnded) == []


async def test_an_alert_is_not_a_mailing_that_one_unsubscribes_from(school: School, mail_server: MailServer) -> None:
    ada = await school.student()
    await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await school.mails_are_sent()

    assert mail_server.mails[0]["List-Unsubscribe"] is None
