"""Lessons follow the bells of special days; what has been marked stays, and what was changed back comes back."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.academic.tests.factories import PERIODS, TIME_ZONE, TODAY, School
from shared.contracts.school import CalendarDay, DayPeriod
from shared.identity import Role

TOMORROW = TODAY + timedelta(days=1)
DAY_AFTER = TODAY + timedelta(days=2)


def special(day: date, **bells: tuple[time, time]) -> CalendarDay:
    """A day with these bells; names of periods begin with `p`."""
    periods = [
        DayPeriod(period=name.removeprefix("p"), starts_at=start, ends_at=end) for name, (start, end) in bells.items()
    ]
    return CalendarDay(day=day, kind="special", title="Half day", periods=periods)


async def seen(school: School, teacher_id: UUID, day: date) -> list[Any]:
    """Period and local times of each lesson."""
    lessons = await school.lessons(Role.TEACHER, teacher_id, day=str(day))
    return [
        (each["period"], *(datetime.fromisoformat(each[name]).time() for name in ("starts_at", "ends_at")))
        for each in lessons["items"]
    ]


async def test_lessons_of_a_special_day_have_its_times_and_the_day_its_name(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))

    await school.tell_calendar(
        version=2, days=(special(TOMORROW, p1=(time(8), time(8, 30)), p2=(time(8, 35), time(9, 5))),)
    )

    assert await seen(school, taught.teacher_id, TOMORROW) == [
        ("1", time(8), time(8, 30)),
        ("2", time(8, 35), time(9, 5)),
    ]
    assert await seen(school, taught.teacher_id, DAY_AFTER) == [("1", *PERIODS["1"]), ("2", *PERIODS["2"])]
    day = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TOMORROW))
    assert (day["special_day"], day["holiday"]) == ("Half day", None)


async def test_a_period_that_the_special_day_lacks_is_not_held(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2", "3"))

    await school.tell_calendar(version=2, days=(special(TOMORROW, p2=(time(9), time(9, 20))),))

    assert [period for period, *_ in await seen(school, taught.teacher_id, TOMORROW)] == ["2"]


async def test_a_special_day_without_bells_has_no_lessons(school: School) -> None:
    taught = await school.a_taught_class()

    await school.tell_calendar(version=2, days=(special(TOMORROW),))

    assert await seen(school, taught.teacher_id, TOMORROW) == []


async def test_a_special_day_that_names_no_bells_rings_as_its_weekday(school: School) -> None:
    taught = await school.a_taught_class()

    await school.tell_calendar(version=2, days=(CalendarDay(day=TOMORROW, kind="special", title="Photos"),))

    assert await seen(school, taught.teacher_id, TOMORROW) == [("1", *PERIODS["1"])]


async def test_reverting_brings_every_lesson_back_under_its_old_times(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))
    before = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TOMORROW))
    await school.tell_calendar(version=2, days=(special(TOMORROW, p1=(time(8), time(8, 30))),))

    await school.tell_calendar(version=3)

    after = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TOMORROW))
    kept = ("class_id", "period", "starts_at", "ends_at", "teacher_ids", "is_cancelled")
    assert [[each[name] for name in kept] for each in after["items"]] == [
        [each[name] for name in kept] for each in before["items"]
    ]
    assert after["items"][0]["id"] == before["items"][0]["id"]


async def test_a_lesson_whose_register_was_saved_keeps_its_times(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))
    await school.save_register(taught, 0, {taught.student_ids[0]: "P"})

    await school.tell_calendar(version=2, days=(special(TODAY, p3=(time(12), time(12, 30))),))

    assert ("1", *PERIODS["1"]) in await seen(school, taught.teacher_id, TODAY)
    register = await school.send(
        "GET", f"/lessons/{taught.lesson_id}/register", role=Role.TEACHER, person_id=taught.teacher_id
    )
    assert register.json()["version"] == 1


async def test_a_day_off_becomes_a_school_day_by_bells_of_its_own(school: School) -> None:
    """A Saturday of a school that has none: the week's bells are only those of other weekdays."""
    taught = await school.a_taught_class()
    await school.tell_calendar(version=2, periods={})

    await school.tell_calendar(version=3, periods={}, days=(special(TOMORROW, p1=(time(9), time(10))),))

    assert await seen(school, taught.teacher_id, TOMORROW) == [("1", time(9), time(10))]
    assert await seen(school, taught.teacher_id, DAY_AFTER) == []


async def test_a_lesson_is_added_by_the_bells_of_its_day(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1",))
    await school.tell_calendar(version=2, days=(special(TOMORROW, p2=(time(13), time(13, 30))),))
    body = {"class_id": str(taught.class_id), "day": str(TOMORROW)}

    added = await school.send("POST", "/lessons", json={**body, "period": "2"})
    refused = await school.send("POST", "/lessons", json={**body, "period": "3"})

    assert datetime.fromisoformat(added.json()["starts_at"]).time() == time(13)
    assert refused.status_code == 422
    assert refused.json()["detail"] == f"The bell schedule has no period '3' on {TOMORROW}."


async def test_special_bells_that_make_two_lessons_meet_are_a_clash_and_the_rest_goes_on(school: School) -> None:
    """By hand, a lesson stands where the new bells would put another of the same teacher."""
    taught = await school.a_taught_class("Maths", ("1",))
    chess = await school.a_class("Chess", ())
    await school.enrol(chess, taught.teacher_id, "teacher")
    await school.send("POST", "/lessons", json={"class_id": str(chess), "day": str(TOMORROW), "period": "2"})

    await school.tell_calendar(version=2, days=(special(TOMORROW, p1=PERIODS["2"]),))

    clashes = (await school.send("GET", "/timetable-clashes")).json()["items"]
    assert [(each["class_title"], each["other_class_title"]) for each in clashes] == [("Maths", "Chess")]
    assert [period for period, *_ in await seen(school, taught.teacher_id, TOMORROW)] == ["2"]


@pytest.mark.parametrize(
    ("day", "offset_hours"), [(date(2026, 10, 31), -4), (date(2026, 11, 1), -5), (date(2027, 3, 14), -4)]
)
async def test_special_bells_keep_the_wall_clock_over_a_change_of_clocks(
    school: School, day: date, offset_hours: int
) -> None:
    taught = await school.a_taught_class()
    term = (date(2026, 10, 1), date(2027, 4, 1))

    await school.tell_calendar(version=2, term=term, days=(special(day, p1=(time(9), time(9, 30))),))

    lesson = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(day)))["items"][0]
    starts_at = datetime.fromisoformat(lesson["starts_at"])
    assert starts_at == datetime.combine(day, time(9), ZoneInfo(TIME_ZONE))
    assert starts_at.utcoffset() == timedelta(hours=offset_hours)
    assert lesson["class_id"] == str(taught.class_id)
