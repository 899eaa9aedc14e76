"""Registers: one call, nothing lost, nothing overwritten."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from services.academic.attendance import rules
from services.academic.attendance.schemas import CountedLesson
from services.academic.tests.factories import TODAY, School, Taught
from shared import clock
from shared.contracts.academic import AttendanceDayChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.stack import Stack


def days_told(stack: Stack, school: School) -> list[AttendanceDayChanged]:
    return [
        msgspec.json.decode(each.data, type=AttendanceDayChanged)
        for each in published(stack.database_url("academic"), school.id)
        if each.type == "academic.attendance_day_changed.v1"
    ]


async def register(school: School, taught: Taught, **params: str) -> dict[str, Any]:
    answer = await school.send(
        "GET",
        f"/lessons/{taught.lesson_id}/register",
        role=Role.TEACHER,
        person_id=taught.teacher_id,
        params=params,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes_of(shown: dict[str, Any]) -> list[str | None]:
    return [line["mark"] and line["mark"]["code"] for line in shown["lines"]]


async def test_a_class_is_marked_in_one_call(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids

    answer = await school.save_register(taught, 0, {ada: "A", ben: "P"})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["version"], codes_of(answer.json())) == (1, ["A", "P"])
    told = {each.student_id: each for each in days_told(stack, school)}
    assert told[ada].is_unexplained_absence
    assert told[ada].lessons == ["Maths"]
    assert not told[ben].is_unexplained_absence


async def test_only_the_exceptions_need_to_be_marked(school: School) -> None:
    taught = await school.a_taught_class()

    answer = await school.save_register(taught, 0, {taught.student_ids[0]: "A"}, default_code="P")

    assert codes_of(answer.json()) == ["A", "P"]


async def test_late_needs_the_minutes(school: School) -> None:
    taught = await school.a_taught_class()
    ada = taught.student_ids[0]

    without = await school.save_register(taught, 0, {ada: "L"})
    body = {"version": 0, "marks": [{"student_id": str(ada), "code": "L", "minutes_late": 12}]}
    path = f"/lessons/{taught.lesson_id}/register"
    given = await school.send("PUT", path, role=Role.TEACHER, person_id=taught.teacher_id, json=body)

    assert without.status_code == 422
    assert without.json()["errors"][0]["pointer"] == "/marks/0/minutes_late"
    assert given.json()["lines"][0]["mark"]["minutes_late"] == 12


async def test_the_stale_one_of_two_tabs_gets_the_current_state(school: School) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids

    answers = await asyncio.gather(
        school.save_register(taught, 0, {ada: "A"}), school.save_register(taught, 0, {ben: "A"})
    )

    assert sorted(each.status_code for each in answers) == [200, 409]
    stale = next(each for each in answers if each.status_code == 409).json()
    assert stale["type"].endswith("/stale-register")
    assert stale["current"]["version"] == 1
    assert codes_of(stale["current"]).count("A") == 1


async def test_a_correction_needs_a_reason_and_stays_in_the_history(school: School) -> None:
    taught = await school.a_taught_class()
    ada = taught.student_ids[0]
    await school.save_register(taught, 0, {ada: "A"})

    silent = await school.save_register(taught, 1, {ada: "P"})
    reasoned = await school.save_register(taught, 1, {ada: "P"}, reason="Was in the library")

    assert silent.status_code == 422
    assert reasoned.status_code == 200
    path = f"/lessons/{taught.lesson_id}/register/history"
    history = (await school.send("GET", path, role=Role.TEACHER, person_id=taught.teacher_id)).json()
    assert [(each["code"], each["reason"]) for each in history] == [("A", None), ("P", "Was in the library")]
    assert all(each["recorded_by"] and each["recorded_at"] for each in history)


async def test_what_was_known_earlier_can_be_asked(school: School) -> None:
    taught = await school.a_taught_class()
    ada = taught.student_ids[0]
    before = clock.now()
    await school.save_register(taught, 0, {ada: "A"})
    between = clock.now()
    await school.save_register(taught, 1, {ada: "P"}, reason="Was in the library")

    assert codes_of(await register(school, taught, as_of=before.isoformat()))[0] is None
    assert codes_of(await register(school, taught, as_of=between.isoformat()))[0] == "A"
    assert codes_of(await register(school, taught))[0] == "P"


async def test_an_instant_without_offset_is_refused(school: School) -> None:
    taught = await school.a_taught_class()

    answer = await school.send(
        "GET",
        f"/lessons/{taught.lesson_id}/register?as_of=2026-09-01T09:30:00",
        role=Role.TEACHER,
        person_id=taught.teacher_id,
    )

    assert answer.status_code == 400


async def test_saving_the_same_again_adds_nothing(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    ada = taught.student_ids[0]
    await school.save_register(taught, 0, {ada: "A"})

    again = await school.save_register(taught, 1, {ada: "A"})

    assert again.json()["version"] == 1
    assert len(days_told(stack, school)) == 1


@pytest.mark.parametrize(
    ("code", "student", "pointer"),
    [("ZZ", "ada", "/marks/0/code"), ("A", "stranger", "/marks/0/student_id")],
)
async def test_a_register_with_a_fault_saves_nothing(school: School, code: str, student: str, pointer: str) -> None:
    taught = await school.a_taught_class()
    who = taught.student_ids[0] if student == "ada" else new_id()

    answer = await school.save_register(taught, 0, {who: code})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await register(school, taught))["version"] == 0


async def test_a_register_that_marks_nobody_is_refused(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()

    refused = await school.save_register(taught, 0, {})

    assert refused.status_code == 422
    assert refused.json()["type"].endswith("/nobody-marked")
    assert (await register(school, taught))["version"] == 0
    assert [
        each for each in published(stack.database_url("academic"), school.id) if "register_saved" in each.type
    ] == []
    assert (await school.save_register(taught, 0, {}, default_code="P")).status_code == 200
    assert (await school.save_register(taught, 1, {})).status_code == 200


async def test_a_class_without_students_has_an_empty_register(school: School) -> None:
    class_id, teacher_id = await school.a_class("Chess"), await school.a_teacher()
    await school.enrol(class_id, teacher_id, "teacher")
    lesson = (await school.lessons(Role.TEACHER, teacher_id))["items"][0]
    empty = Taught(class_id=class_id, teacher_id=teacher_id, student_ids=[], lesson_id=lesson["id"])

    assert (await school.save_register(empty, 0, {})).status_code == 200


async def test_a_lesson_to_come_has_no_register_yet(school: School) -> None:
    taught = await school.a_taught_class()
    later = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TODAY + timedelta(days=2)))
    coming = msgspec.structs.replace(taught, lesson_id=later["items"][0]["id"])

    answer = await school.save_register(coming, 0, {taught.student_ids[0]: "A"})

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/lesson-not-yet")


async def test_only_the_lessons_teachers_and_the_office_take_its_register(school: School, other_school: School) -> None:
    taught = await school.a_taught_class()
    path = f"/lessons/{taught.lesson_id}/register"
    body = {"version": 0, "marks": [], "default_code": "P"}

    stranger = await school.send("PUT", path, role=Role.TEACHER, person_id=new_id(), json=body)
    guardian = await school.send("PUT", path, role=Role.GUARDIAN, person_id=new_id(), json=body)
    foreign = await other_school.send("PUT", path, json=body)
    office = await school.send("PUT", path, json=body)

    assert (stranger.status_code, guardian.status_code, foreign.status_code) == (404, 403, 404)
    assert office.status_code == 200


async def set_cancelled(school: School, taught: Taught, is_cancelled: bool) -> None:
    path = f"/lessons/{taught.lesson_id}"
    version = (await school.send("GET", path)).json()["version"]
    answer = await school.send("PATCH", path, json={"version": version, "is_cancelled": is_cancelled})
    assert answer.status_code == 200, answer.text


async def test_a_lesson_that_is_cancelled_takes_its_absences_with_it(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    await school.save_register(taught, 0, {ada: "A", ben: "P"})

    await set_cancelled(school, taught, True)

    told = {each.student_id: each for each in days_told(stack, school)}
    assert (told[ada].status, told[ada].is_unexplained_absence, told[ada].lessons) == ("unmarked", False, [])
    assert told[ben].status == "unmarked"
    days = await school.send("GET", f"/students/{ada}/attendance")
    assert days.json()["items"] == []


async def test_a_lesson_that_is_brought_back_brings_its_absences_back(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    await school.save_register(taught, 0, {ada: "A", ben: "P"})
    await set_cancelled(school, taught, True)

    await set_cancelled(school, taught, False)

    told = [each for each in days_told(stack, school) if each.student_id == ada]
    assert [each.is_unexplained_absence for each in told] == [True, False, True]
    assert told[-1].lessons == ["Maths"]


async def test_of_a_day_with_other_lessons_only_the_cancelled_one_is_taken_out(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))
    ada = taught.student_ids[0]
    second = (await school.lessons(Role.TEACHER, taught.teacher_id))["items"][1]
    other = msgspec.structs.replace(taught, lesson_id=second["id"])
    for each in (taught, other):
        await school.save_register(each, 0, {ada: "A"}, default_code="P")

    await set_cancelled(school, other, True)

    told = [each for each in days_told(stack, school) if each.student_id == ada][-1]
    assert (told.status, told.is_unexplained_absence, told.lessons) == ("absent", True, ["Maths"])


async def test_who_cancels_while_a_register_is_saved_takes_its_marks_too(school: School, stack: Stack) -> None:
    """Whichever comes first: nobody is absent from a lesson that does not take place."""
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    await school.save_register(taught, 0, {ada: "A"})

    await asyncio.gather(set_cancelled(school, taught, True), school.save_register(taught, 1, {ben: "A"}))

    told = {each.student_id: each for each in days_told(stack, school)}
    assert not any(each.is_unexplained_absence for each in told.values())


async def test_marks_cannot_be_changed_or_deleted_even_in_sql(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()
    await school.save_register(taught, 0, {taught.student_ids[0]: "A"})

    for statement in ("UPDATE attendance_mark SET code = 'P'", "DELETE FROM attendance_mark"):
        with (
            psycopg.connect(stack.database_url("academic")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


async def test_a_guardian_sees_the_childs_day_and_attendance(school: School) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    guardian = await school.a_guardian_of(ada)
    await school.save_register(taught, 0, {ada: "A", ben: "P"})

    day = await school.send("GET", f"/students/{ada}/day", role=Role.GUARDIAN, person_id=guardian)
    days = await school.send("GET", f"/students/{ada}/attendance", role=Role.GUARDIAN, person_id=guardian)
    foreign = await school.send("GET", f"/students/{ben}/attendance", role=Role.GUARDIAN, person_id=guardian)

    assert (day.json()["status"], day.json()["lessons"][0]["code"]) == ("absent", "A")
    assert [each["status"] for each in days.json()["items"]] == ["absent"]
    assert foreign.status_code == 404


async def test_a_school_makes_its_own_codes(school: School) -> None:
    taught = await school.a_taught_class()
    body = {"title": "Excursion", "kind": "excused"}
    added = await school.send("PUT", "/attendance-codes/X1", json=body)

    marked = await school.save_register(taught, 0, {taught.student_ids[0]: "X1"})
    alerting = await school.send("PUT", "/attendance-codes/X2", json={**body, "is_alerting": True})
    refused = await school.send("PUT", "/attendance-codes/X3", role=Role.TEACHER, json=body)

    assert added.json()["code"] == "X1"
    assert marked.json()["lines"][0]["mark"]["kind"] == "excused"
    assert (alerting.status_code, refused.status_code) == (422, 403)


async def test_a_mark_keeps_what_its_code_meant_when_it_was_made(school: School) -> None:
    taught = await school.a_taught_class()
    await school.send("PUT", "/attendance-codes/X1", json={"title": "Excursion", "kind": "excused"})
    await school.save_register(taught, 0, {taught.student_ids[0]: "X1"})

    await school.send("PUT", "/attendance-codes/X1", json={"title": "Excursion", "kind": "absent"})

    assert (await register(school, taught))["lines"][0]["mark"]["kind"] == "excused"


def a_lesson(
    kind: str | None, *, hour: int, minutes_late: int | None = None, is_alerting: bool = False
) -> CountedLesson:
    starts_at = datetime.fromisoformat("2026-09-01T00:00:00+00:00") + timedelta(hours=hour)
    return CountedLesson(
        lesson_id=new_id(),
        class_title=f"Lesson {hour}",
        period=str(hour),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=60),
        code=kind and kind[0].upper(),
        kind=kind,  # pyright: ignore[reportArgumentType]
        is_alerting=False,
        minutes_late=minutes_late,
    )


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([None], "unmarked"),
        (["present", "present"], "present"),
        (["present", "late"], "late"),
        (["absent", "absent"], "absent"),
        (["absent", "present"], "absent"),
        (["absent", "present", "present"], "present"),
        (["excused", "excused"], "excused"),
        (["excused", "absent"], "absent"),
    ],
)
def test_a_day_is_what_its_marks_amount_to(kinds: list[str | None], status: str) -> None:
    lessons = [
        a_lesson(kind, hour=hour, minutes_late=10 if kind == "late" else None) for hour, kind in enumerate(kinds)
    ]

    assert rules.day_of(lessons).status == status
