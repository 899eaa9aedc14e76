"""Registers that are missing: told once to whom it concerns, and withdrawn when they are saved, in any order."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import msgspec
import pytest

from services.notification.tests.factories import School
from services.notification.tests.mail_server import MailServer
from services.notification.tests.seen import Seen
from services.notification.tests.wishes import Clock, daily, wish
from shared.contracts.academic import LessonOfDay, LessonsPlanned, RegisterMissing, RegisterNotMissing, RegisterSaved
from shared.ids import new_id


def saved(missing: RegisterMissing, *, is_complete: bool | None = None) -> RegisterSaved:
    return RegisterSaved(
        lesson_id=missing.lesson_id,
        day=missing.day,
        saved_at=missing.starts_at,
        present=20,
        absent=1,
        late=0,
        excused=0,
        is_complete=is_complete,
    )


def planned(
    *lessons: RegisterMissing, cancelled: Sequence[RegisterMissing] = (), off: Sequence[RegisterMissing] = ()
) -> LessonsPlanned:
    return LessonsPlanned(
        day=lessons[0].day,
        lessons=[
            LessonOfDay(
                lesson_id=each.lesson_id,
                class_id=each.class_id,
                class_title=each.class_title,
                starts_at=each.starts_at,
                ends_at=each.ends_at,
                teacher_ids=each.teacher_ids,
                is_cancelled=each in cancelled,
                is_on_holiday=each in off,
            )
            for each in lessons
        ],
    )


async def reminders(seen: Seen, teacher: UUID, office: UUID) -> tuple[int, int]:
    return len(await seen.items(teacher, "teacher")), len(await seen.items(office, "school_admin"))


async def test_a_missing_register_is_told_to_its_teachers_and_then_to_the_office(school: School, seen: Seen) -> None:
    tess, tom, office = await school.teacher(), await school.teacher(), await school.admin()
    missing = school.missing(tess, tom)
    for _ in range(2):
        await school.hear(missing, about=new_id())
    assert await seen.items(office, "school_admin") == []

    for _ in range(2):
        await school.hear(msgspec.structs.replace(missing, step="office"), about=new_id())

    for who, role in ((tess, "teacher"), (tom, "teacher"), (office, "school_admin")):
        (item,) = await seen.items(who, role)
        assert item["title"] == "Maths 5b: register missing"
        assert item["deep_link"] == f"/lessons/{missing.lesson_id}/register"


async def test_only_who_is_of_the_office_now_hears_for_the_office(school: School) -> None:
    here, gone = await school.admin(), await school.admin()
    await school.admin(user_id=gone, is_active=False)

    await school.hear(school.missing(step="office"), about=new_id())

    assert await school.told() == [(here, "register_reminder")]


async def test_a_register_that_is_saved_is_no_longer_missing_in_inboxes_mails_and_digests(
    school: School, seen: Seen, mail_server: MailServer, at: Clock
) -> None:
    tess, tom = await school.teacher(), await school.teacher()
    office = await school.admin(email="office@school.test")
    await wish(school, tom, *daily("registers"))
    maths, arts = school.missing(tess, tom), school.missing(tess, class_title="Arts 5b")
    for each in (maths, msgspec.structs.replace(maths, step="office"), arts):
        await school.hear(each, about=new_id())

    await school.hear(saved(maths), about=maths.lesson_id)
    at.to("2026-06-10T17:00")
    await school.sender.send_due()

    assert await seen.titles(tess, "teacher") == ["Arts 5b: register missing"]
    assert await seen.unread(tess, "teacher") == 1
    assert await seen.items(tom, "teacher") == await seen.items(office, "school_admin") == []
    assert [mail["Subject"] for mail in mail_server.mails] == ["Arts 5b: register missing"]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_what_is_told_late_of_a_saved_register_reaches_nobody_and_what_is_missing_since_does(
    school: School, seen: Seen, at: Clock, order: tuple[int, ...]
) -> None:
    tess, office, tom = await school.teacher(), await school.admin(), await school.teacher()
    done, lacking = school.missing(tess), school.missing(tom)
    begin = at.now()
    told = [
        (done, 0),
        (saved(done), 10),
        (saved(lacking), 10),
        (msgspec.structs.replace(lacking, step="office"), 20),
    ]

    for number in (*order, *order):
        event, minutes = told[number]
        at.at = begin + timedelta(minutes=minutes)
        await school.hear(event, about=new_id())

    assert await reminders(seen, tess, office) == (0, 1)
    (item,) = await seen.items(office, "school_admin")
    assert item["deep_link"] == f"/lessons/{lacking.lesson_id}/register"


@pytest.mark.parametrize(("is_complete", "left"), [(False, 1), (True, 0), (None, 0)])
async def test_a_register_that_leaves_somebody_out_is_still_missing(
    school: School, seen: Seen, is_complete: bool | None, left: int
) -> None:
    """The release before does not say whether it does."""
    tess = await school.teacher()
    await school.hear(missing := school.missing(tess), about=new_id())

    await school.hear(saved(missing, is_complete=is_complete), about=missing.lesson_id, version=1)

    assert len(await seen.items(tess, "teacher")) == left


async def test_a_register_that_left_somebody_out_is_missing_until_it_is_complete(school: School, seen: Seen) -> None:
    tess = await school.teacher()
    await school.hear(missing := school.missing(tess), about=new_id())
    await school.hear(saved(missing, is_complete=False), about=missing.lesson_id, version=1)

    await school.hear(saved(missing, is_complete=True), about=missing.lesson_id, version=2)

    assert await seen.items(tess, "teacher") == []


async def test_nobody_is_reminded_of_a_lesson_that_is_cancelled(school: School, seen: Seen, at: Clock) -> None:
    tess = await school.teacher()
    maths, arts = school.missing(tess), school.missing(tess, class_title="Arts 5b")
    for each in (maths, arts):
        await school.hear(each, about=new_id())

    await school.hear(planned(maths, arts, cancelled=[maths]), about="day")

    assert await seen.titles(tess, "teacher") == ["Arts 5b: register missing"]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_who_was_reminded_of_a_lesson_that_was_cancelled_hears_of_it_once_it_is_brought_back(
    school: School, seen: Seen, at: Clock, order: tuple[int, ...]
) -> None:
    tess = await school.teacher()
    maths = school.missing(tess)
    begin = at.now()
    told = [(maths, 0), (planned(maths, cancelled=[maths]), 10), (maths, 20)]

    for number in (*order, *order):
        event, minutes = told[number]
        at.at = begin + timedelta(minutes=minutes)
        await school.hear(event, about=new_id())

    assert await seen.titles(tess, "teacher") == ["Maths 5b: register missing"]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_what_need_not_be_saved_reminds_nobody_until_it_is_missing_again(
    school: School, seen: Seen, at: Clock, order: tuple[int, ...]
) -> None:
    tess = await school.teacher()
    maths = school.missing(tess)
    begin = at.now()
    gone = RegisterNotMissing(lesson_id=maths.lesson_id)
    await school.hear(school.missing(tess, class_title="Arts 5b"), about=new_id())
    told = [(maths, 0), (gone, 10), (maths, 20)]

    for number in (*order, *order):
        event, minutes = told[number]
        at.at = begin + timedelta(minutes=minutes)
        await school.hear(event, about=new_id())
    missing_again = await seen.titles(tess, "teacher")
    at.at = begin + timedelta(minutes=30)
    await school.hear(gone, about=new_id())

    assert sorted(missing_again) == ["Arts 5b: register missing", "Maths 5b: register missing"]
    assert await seen.titles(tess, "teacher") == ["Arts 5b: register missing"]


async def test_nobody_is_reminded_of_a_lesson_whose_day_became_a_holiday(school: School, seen: Seen) -> None:
    tess = await school.teacher()
    maths, arts = school.missing(tess), school.missing(tess, class_title="Arts 5b")
    for each in (maths, arts):
        await school.hear(each, about=new_id())

    await school.hear(planned(maths, arts, off=[maths]), about="day")

    assert await seen.titles(tess, "teacher") == ["Arts 5b: register missing"]


async def test_a_register_that_another_school_saved_is_still_missing_here(school: School, seen: Seen) -> None:
    tess = await school.teacher()
    missing = school.missing(tess)
    await school.hear(missing, about=new_id())

    here, school.school_id = school.school_id, new_id()
    await school.hear(saved(missing), about=missing.lesson_id)
    school.school_id = here

    assert len(await seen.items(tess, "teacher")) == 1
