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


async def changed(school: School, lesson_id: str, **change: Any) -> Any:
    path = f"/lessons/{lesson_id}"
    version = (await school.send("GET", path)).json()["version"]
    answer = await school.send("PATCH", path, json={"version": version, **change})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def tomorrows(school: School, teacher_id: UUID) -> list[Any]:
    return (await school.lessons(Role.TEACHER, teacher_id, day=str(TOMORROW)))["items"]


HALF_DAY = special(TOMORROW, p1=(time(8), time(8, 20)), p2=(time(8, 25), time(8, 45)))
HOLIDAY = CalendarDay(day=TOMORROW, kind="holiday", title="Snow")


@pytest.mark.parametrize(
    "detour", [{"room": "Gym"}, {"is_cancelled": True}], ids=["another room", "cancelled and back"]
)
async def test_a_lesson_that_was_changed_by_hand_follows_the_calendar(school: School, detour: dict[str, Any]) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))
    _, second = await tomorrows(school, taught.teacher_id)
    await changed(school, second["id"], **detour)
    if detour.get("is_cancelled"):
        await changed(school, second["id"], is_cancelled=False)

    await school.tell_calendar(version=2, days=(HALF_DAY,))
    assert await seen(school, taught.teacher_id, TOMORROW) == [
        ("1", time(8), time(8, 20)),
        ("2", time(8, 25), time(8, 45)),
    ]
    assert (await tomorrows(school, taught.teacher_id))[1]["room"] == detour.get("room")

    await school.tell_calendar(version=3, days=(special(TOMORROW, p1=(time(8), time(8, 20))),))
    assert [period for period, *_ in await seen(school, taught.teacher_id, TOMORROW)] == ["1"]

    await school.tell_calendar(version=4, days=(HOLIDAY,))
    assert await tomorrows(school, taught.teacher_id) == []


async def test_a_lesson_with_a_room_of_its_own_ends_with_the_term(school: School) -> None:
    taught = await school.a_taught_class()
    await changed(school, (await tomorrows(school, taught.teacher_id))[0]["id"], room="Gym")

    await school.tell_calendar(version=2, term=(TODAY - timedelta(days=10), TODAY))

    assert await tomorrows(school, taught.teacher_id) == []


async def test_a_lesson_with_a_room_of_its_own_gets_its_new_teacher_and_keeps_the_room(school: School) -> None:
    taught = await school.a_taught_class()
    lesson = (await tomorrows(school, taught.teacher_id))[0]
    await changed(school, lesson["id"], room="Gym")
    teacher_id = await school.a_teacher("New")

    await school.enrol(taught.class_id, teacher_id, "teacher")

    [own] = await tomorrows(school, teacher_id)
    assert (own["id"], own["room"]) == (lesson["id"], "Gym")
    assert set(own["teacher_ids"]) == {str(taught.teacher_id), str(teacher_id)}


async def test_a_room_that_is_the_classs_again_is_no_longer_the_lessons_own(school: School) -> None:
    teacher_id = await school.a_teacher()
    class_id = await school.a_class("Maths", ("1",), room="Lab")
    await school.enrol(class_id, teacher_id, "teacher")
    lesson = (await tomorrows(school, teacher_id))[0]
    await changed(school, lesson["id"], room="Gym")
    await changed(school, lesson["id"], room="Lab")
    await changed(school, lesson["id"], room=None)

    await school.tell_calendar(version=2, days=(HALF_DAY,))
    assert [each["room"] for each in await tomorrows(school, teacher_id)] == [None]

    await changed(school, lesson["id"], room="Lab")
    await school.tell_calendar(version=3)
    assert [each["room"] for each in await tomorrows(school, teacher_id)] == ["Lab"]


async def test_a_room_of_ones_own_is_not_taken_by_another_class(school: School) -> None:
    """By title Art would come first; by then its room is that of the other's lesson."""
    taught = await school.a_taught_class("Maths", ("1",))
    await changed(school, (await tomorrows(school, taught.teacher_id))[0]["id"], room="Gym")

    await school.a_class("Art", ("1",), room="Gym")
    await school.tell_calendar(version=2, days=(HALF_DAY,))

    day = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW)))["items"]
    assert [(each["class_title"], each["room"]) for each in day] == [("Maths", "Gym")]


async def test_a_cancelled_lesson_stays_so_whatever_the_calendar_does(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))
    _, second = await tomorrows(school, taught.teacher_id)
    await changed(school, second["id"], is_cancelled=True)

    for version, days in enumerate(((HALF_DAY,), (HOLIDAY,), (special(TOMORROW, p1=PERIODS["1"]),), ()), start=2):
        await school.tell_calendar(version=version, days=days)

    found = await tomorrows(school, taught.teacher_id)
    assert [(each["period"], each["is_cancelled"]) for each in found] == [("1", False), ("2", True)]
    assert found[1]["id"] == second["id"]
    back = await changed(school, second["id"], is_cancelled=False)
    assert datetime.fromisoformat(back["starts_at"]).time() == PERIODS["2"][0]


async def test_a_lesson_is_not_brought_back_onto_a_holiday(school: School) -> None:
    taught = await school.a_taught_class()
    lesson = (await tomorrows(school, taught.teacher_id))[0]
    version = (await changed(school, lesson["id"], is_cancelled=True))["version"]
    await school.tell_calendar(version=2, days=(HOLIDAY,))

    body = {"version": version, "is_cancelled": False}
    answer = await school.send("PATCH", f"/lessons/{lesson['id']}", json=body)

    assert answer.status_code == 422
    assert answer.json()["type"].endswith("/not-a-school-day")


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
