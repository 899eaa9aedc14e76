"""Lessons follow classes, bell schedule, terms and calendar; two at once cannot be."""

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.academic.tests.factories import TIME_ZONE, TODAY, School
from services.academic.timetable.rules import instant
from shared.contracts.school import CalendarDay
from shared.identity import Role
from shared.testing.stack import Stack


async def test_a_teacher_sees_todays_own_lessons_in_local_time(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("2",))
    await school.a_taught_class("Music", ("3",))

    seen = await school.lessons(Role.TEACHER, taught.teacher_id)

    assert [each["class_title"] for each in seen["items"]] == ["Maths"]
    starts_at = datetime.fromisoformat(seen["items"][0]["starts_at"])
    assert starts_at == datetime.combine(TODAY, time(9), ZoneInfo(TIME_ZONE))
    assert starts_at.time() == time(9)


async def test_a_holiday_has_no_lessons_and_a_name(school: School) -> None:
    taught = await school.a_taught_class()
    tomorrow = TODAY + timedelta(days=1)
    await school.tell_calendar(version=2, days=(CalendarDay(day=tomorrow, kind="holiday", title="Snow"),))

    seen = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(tomorrow))

    assert (seen["holiday"], seen["items"]) == ("Snow", [])


async def test_an_older_calendar_that_comes_late_changes_nothing(school: School) -> None:
    taught = await school.a_taught_class()
    tomorrow = TODAY + timedelta(days=1)
    await school.tell_calendar(version=3)
    await school.tell_calendar(version=2, days=(CalendarDay(day=tomorrow, kind="holiday", title="Snow"),))

    seen = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(tomorrow))

    assert len(seen["items"]) == 1


async def test_no_lessons_outside_the_term(school: School) -> None:
    taught = await school.a_taught_class()

    seen = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TODAY + timedelta(days=11)))

    assert seen["items"] == []


async def test_a_guardian_must_name_a_child_and_sees_that_childs_lessons(school: School) -> None:
    taught = await school.a_taught_class()
    guardian = await school.a_guardian_of(taught.student_ids[0])

    unnamed = await school.send("GET", "/lessons", role=Role.GUARDIAN, person_id=guardian)
    own = await school.lessons(Role.GUARDIAN, guardian, student_id=str(taught.student_ids[0]))
    foreign = await school.send(
        "GET", f"/lessons?student_id={taught.student_ids[1]}", role=Role.GUARDIAN, person_id=guardian
    )

    assert unnamed.status_code == 400
    assert len(own["items"]) == 1
    assert foreign.status_code == 404


async def test_a_second_lesson_of_a_teacher_is_refused_and_names_the_first(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1",))
    other = await school.a_class("Chess", ("2",))
    await school.enrol(other, taught.teacher_id, "teacher")
    body = {"class_id": str(other), "day": str(TODAY), "period": "1"}

    answer = await school.send("POST", "/lessons", json=body)

    assert answer.status_code == 409
    assert "Maths" in answer.json()["detail"]
    assert answer.json()["lesson"]["class_title"] == "Maths"


async def test_a_room_is_for_one_class_at_a_time(school: School) -> None:
    await school.a_class("Maths", ("1",), room="Lab")
    other = await school.a_class("Chess", ("2",))
    body = {"class_id": str(other), "day": str(TODAY), "period": "1", "room": "Lab"}

    answer = await school.send("POST", "/lessons", json=body)

    assert answer.status_code == 409
    assert "Lab" in answer.json()["detail"]


async def test_a_cancelled_lesson_gives_its_room_away(school: School) -> None:
    taught = await school.a_taught_class("Maths", ("1",))
    lesson = await school.send("GET", f"/lessons/{taught.lesson_id}")
    cancelled = await school.send(
        "PATCH", f"/lessons/{taught.lesson_id}", json={"version": lesson.json()["version"], "is_cancelled": True}
    )
    other = await school.a_class("Chess", ("2",))
    await school.enrol(other, taught.teacher_id, "teacher")

    added = await school.send("POST", "/lessons", json={"class_id": str(other), "day": str(TODAY), "period": "1"})
    back = await school.send(
        "PATCH", f"/lessons/{taught.lesson_id}", json={"version": cancelled.json()["version"], "is_cancelled": False}
    )

    assert added.status_code == 201, added.text
    assert back.status_code == 409


async def test_clashing_classes_are_listed_and_the_rest_goes_on(school: School) -> None:
    teacher_id = await school.a_teacher()
    for title in ("Algebra", "Biology"):
        await school.enrol(await school.a_class(title, ("1",)), teacher_id, "teacher")

    seen = await school.lessons(Role.TEACHER, teacher_id)
    clashes = (await school.send("GET", "/timetable-clashes?limit=500")).json()["items"]

    assert [each["class_title"] for each in seen["items"]] == ["Algebra"]
    assert {(each["class_title"], each["other_class_title"], each["kind"]) for each in clashes} == {
        ("Biology", "Algebra", "teacher")
    }


async def test_the_database_itself_refuses_two_lessons_at_once(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    with psycopg.connect(stack.database_url("academic")) as connection:
        connection.execute("SELECT set_config('app.school_id', %s, true)", (str(school.id),))

        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute(
                """
                INSERT INTO lesson (school_id, id, class_id, day, period, starts_at, ends_at)
                SELECT school_id, gen_random_uuid(), class_id, day, 'other', starts_at + interval '1 minute', ends_at
                FROM lesson WHERE id = %s
                """,
                (taught.lesson_id,),
            )


async def test_a_new_time_zone_moves_the_lessons_to_come(school: School) -> None:
    taught = await school.a_taught_class()
    tomorrow = str(TODAY + timedelta(days=2))
    await school.tell_zone("America/Los_Angeles", version=2)

    seen = await school.lessons(Role.TEACHER, taught.teacher_id, day=tomorrow)

    starts_at = datetime.fromisoformat(seen["items"][0]["starts_at"])
    assert starts_at.time() == time(8)
    assert seen["time_zone"] == "America/Los_Angeles"


@pytest.mark.parametrize(
    ("day", "offset_hours"),
    [(date(2026, 10, 30), -4), (date(2026, 11, 1), -5), (date(2027, 3, 12), -5), (date(2027, 3, 14), -4)],
)
def test_a_lesson_keeps_its_wall_clock_over_a_change_of_clocks(day: date, offset_hours: int) -> None:
    at = instant(day, time(8, 30), TIME_ZONE)

    local = at.astimezone(ZoneInfo(TIME_ZONE))

    assert local.time() == time(8, 30)
    assert local.utcoffset() == timedelta(hours=offset_hours)


@given(day=st.dates(date(2020, 1, 1), date(2035, 1, 1)), hour=st.integers(0, 19), minute=st.integers(0, 59))
def test_a_later_period_begins_later_whatever_the_clocks_do(day: date, hour: int, minute: int) -> None:
    earlier, later = instant(day, time(hour, minute), TIME_ZONE), instant(day, time(hour + 3, minute), TIME_ZONE)

    assert earlier < later


async def test_a_lesson_is_its_teachers_own(school: School, other_school: School) -> None:
    taught = await school.a_taught_class()
    stranger: UUID = await school.a_teacher()

    own = await school.send("GET", f"/lessons/{taught.lesson_id}", role=Role.TEACHER, person_id=taught.teacher_id)
    strangers = await school.send("GET", f"/lessons/{taught.lesson_id}", role=Role.TEACHER, person_id=stranger)
    foreign = await other_school.send("GET", f"/lessons/{taught.lesson_id}")

    assert (own.status_code, strangers.status_code, foreign.status_code) == (200, 404, 404)


async def test_until_the_first_register_the_days_so_far_follow_too(school: School) -> None:
    taught = await school.a_taught_class()
    yesterday = str(TODAY - timedelta(days=1))
    # Zones ahead of the first: there, what is today here has begun at any hour of the night.
    await school.tell_zone("Europe/Paris", version=2)
    moved = await school.lessons(Role.TEACHER, taught.teacher_id, day=yesterday)
    await school.save_register(taught, 0, {taught.student_ids[0]: "P"})
    await school.tell_zone("Europe/Helsinki", version=3)

    stayed = await school.lessons(Role.TEACHER, taught.teacher_id, day=yesterday)

    begins = [datetime.fromisoformat(each["items"][0]["starts_at"]) for each in (moved, stayed)]
    assert begins[0] == begins[1]
    assert begins[0].astimezone(ZoneInfo("Europe/Paris")).time() == time(8)


async def test_a_class_that_is_added_later_has_no_lessons_before_it_came(school: School) -> None:
    taught = await school.a_taught_class()
    await school.save_register(taught, 0, {taught.student_ids[0]: "P"})

    await school.a_class("Chess", ("2",))

    titles = [
        [each["class_title"] for each in (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(day)))["items"]]
        for day in (TODAY - timedelta(days=1), TODAY + timedelta(days=1))
    ]
    assert titles == [["Maths"], ["Maths", "Chess"]]
