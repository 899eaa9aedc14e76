"""Lessons follow classes, bell schedule, terms and calendar; two at once cannot be."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.academic.attendance import actions as attendance
from services.academic.tests.factories import TIME_ZONE, TODAY, School, Taught
from services.academic.timetable import queries
from services.academic.timetable.rules import instant
from shared.contracts.school import CalendarDay
from shared.identity import Role
from shared.testing.races import one_held_up_by_the_other
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


REGISTER_FIRST = (attendance, "derive_days")
PLANNING_FIRST = (queries, "lock_lessons")


async def enrolled_while_a_first_register_is_saved(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> tuple[Taught, UUID, tuple[int, int]]:
    """A second teacher comes to a class as the first saves a register: the class, the second, and what each is told:
    the statuses of the register and of the enrolment.
    """
    taught, second_id = await school.a_taught_class(), await school.a_teacher("Tom")
    told: dict[str, int] = {}

    async def save() -> None:
        answer = await school.save_register(taught, 0, {}, default_code="P")
        told["save"] = answer.status_code

    async def enrol() -> None:
        body = {"class_id": str(taught.class_id), "person_id": str(second_id), "role": "teacher"}
        spell = {"starts_on": str(TODAY - timedelta(days=30))}
        told["enrol"] = (await school.send("POST", "/enrolments", json=body | spell)).status_code

    first, second = (save, enrol) if module is attendance else (enrol, save)
    await one_held_up_by_the_other(stack, monkeypatch, module, name, first=first, second=second)
    return taught, second_id, (told["save"], told["enrol"])


async def taught_by(school: School, day: date) -> list[set[UUID]]:
    """The teachers of each lesson of a day."""
    seen = await school.lessons(Role.SCHOOL_ADMIN, None, day=str(day))
    return [{UUID(each) for each in lesson["teacher_ids"]} for lesson in seen["items"]]


async def test_planning_keeps_a_lesson_whose_first_register_is_being_saved(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on as in a school that takes registers: what has begun stays, what is to come follows."""
    taught, second_id, told = await enrolled_while_a_first_register_is_saved(
        school, stack, monkeypatch, *REGISTER_FIRST
    )

    assert told == (200, 201)
    saved = await school.send("GET", f"/lessons/{taught.lesson_id}/register")
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    days = [TODAY + timedelta(days=number) for number in (-1, 0, 1)]
    both = {taught.teacher_id, second_id}
    assert [await taught_by(school, day) for day in days] == [[{taught.teacher_id}], [{taught.teacher_id}], [both]]


async def test_a_first_register_waits_for_planning_to_make_its_lesson_anew(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught, second_id, told = await enrolled_while_a_first_register_is_saved(
        school, stack, monkeypatch, *PLANNING_FIRST
    )

    assert told == (200, 201)
    saved = await school.send("GET", f"/lessons/{taught.lesson_id}/register")
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    assert await taught_by(school, TODAY) == [{taught.teacher_id, second_id}]


async def test_control_without_the_lock_of_the_lessons_planning_breaks_on_the_register(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOCK_LESSONS", "SELECT %(school_id)s, %(ids)s::uuid[]")

    *_, told = await enrolled_while_a_first_register_is_saved(school, stack, monkeypatch, *REGISTER_FIRST)

    assert told == (200, 500)
