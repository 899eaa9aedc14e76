"""What is told of a day's lessons and of registers: whole, with versions, and only what differs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from services.academic.day_plans.actions import look_at_next_school
from services.academic.tests.factories import PERIODS, TODAY, School
from shared.contracts.academic import LessonsPlanned, RegisterSaved
from shared.contracts.envelope import event_type
from shared.contracts.school import CalendarDay
from shared.database import Database
from shared.identity import Role
from shared.testing.bus import published
from shared.testing.stack import Stack

TOMORROW = TODAY + timedelta(days=1)


class Told:
    """What a school told, once its worker has looked at all that is due."""

    def __init__(self, stack: Stack, database: Database, school: School) -> None:
        self._stack, self._database, self._school = stack, database, school

    async def look(self) -> None:
        while await look_at_next_school(self._database):
            pass

    def of(self, event: type[msgspec.Struct], subject: str) -> list[tuple[int, Any]]:
        return [
            (each.version, msgspec.json.decode(each.data, type=event))
            for each in published(self._stack.database_url("academic"), self._school.id)
            if each.type == event_type(event) and each.subject == subject
        ]

    def plans(self, day: object) -> list[tuple[int, LessonsPlanned]]:
        return self.of(LessonsPlanned, f"{self._school.id}/{day}")

    def registers(self, lesson_id: UUID) -> list[tuple[int, RegisterSaved]]:
        return self.of(RegisterSaved, str(lesson_id))

    def make_due(self) -> None:
        with psycopg.connect(self._stack.admin_url, autocommit=True) as connection:
            connection.execute("UPDATE academic.plan_watch SET due_at = now() WHERE school_id = %s", (self._school.id,))


@pytest.fixture
def told(stack: Stack, database: Database, school: School) -> Told:
    return Told(stack, database, school)


async def test_today_and_tomorrow_are_told_whole(school: School, told: Told) -> None:
    taught = await school.a_taught_class("Maths", ("1", "2"))

    await told.look()

    version, plan = told.plans(TODAY)[-1]
    assert version == 1
    assert {each.class_title for each in plan.lessons} == {"Maths"}
    assert [each.teacher_ids for each in plan.lessons] == [[taught.teacher_id]] * 2
    assert [each.starts_at for each in plan.lessons] == sorted(each.starts_at for each in plan.lessons)
    assert taught.lesson_id in {each.lesson_id for each in plan.lessons}
    ((_, tomorrow),) = told.plans(TOMORROW)
    assert len(tomorrow.lessons) == 2


async def test_many_changes_are_told_at_once_and_none_not_at_all(school: School, told: Told) -> None:
    await told.look()
    before = len(told.plans(TODAY))
    for title in ("Maths", "Art", "Music"):
        await school.a_class(title, ("1",))

    await told.look()
    assert len(told.plans(TODAY)) == before + 1

    told.make_due()
    await told.look()
    assert len(told.plans(TODAY)) == before + 1


async def test_a_cancelled_lesson_is_told_under_the_next_version(school: School, told: Told) -> None:
    taught = await school.a_taught_class()
    await told.look()
    before = told.plans(TODAY)
    lesson = (await school.lessons(Role.TEACHER, taught.teacher_id))["items"][0]

    body = {"version": lesson["version"], "is_cancelled": True}
    answer = await school.send("PATCH", f"/lessons/{taught.lesson_id}", json=body)
    assert answer.status_code == 200, answer.text
    await told.look()

    after = told.plans(TODAY)
    assert [version for version, _ in after] == [version for version, _ in before] + [before[-1][0] + 1]
    assert [each.is_cancelled for each in after[-1][1].lessons] == [True]
    assert len(told.plans(TOMORROW)) == 1


async def test_a_holiday_takes_the_lessons_away(school: School, told: Told) -> None:
    await school.a_class("Maths", ("1",))
    await told.look()
    assert len(told.plans(TOMORROW)[-1][1].lessons) == 1

    await school.tell_calendar(version=2, days=(CalendarDay(day=TOMORROW, kind="holiday", title="Labor Day"),))
    await told.look()

    assert told.plans(TOMORROW)[-1][1].lessons == []


async def test_times_that_move_are_told(school: School, told: Told) -> None:
    await school.a_class("Maths", ("1",))
    await told.look()
    before = told.plans(TOMORROW)[-1][1].lessons

    begin, end = PERIODS["1"]
    await school.tell_calendar(version=2, periods={**PERIODS, "1": (begin.replace(minute=5), end)})
    await told.look()

    after = told.plans(TOMORROW)[-1][1].lessons
    assert [each.starts_at - timedelta(minutes=5) for each in after] == [each.starts_at for each in before]


async def test_the_fault_of_one_school_does_not_hold_up_another(
    school: School, other_school: School, told: Told, stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.academic.day_plans import actions  # noqa: PLC0415

    honest = actions.tell_day

    async def fails(tx: Any, school_id: UUID, day: Any) -> None:
        if school_id == school.id:
            raise RuntimeError
        await honest(tx, school_id, day)

    monkeypatch.setattr(actions, "tell_day", fails)
    await told.look()

    assert told.plans(TODAY) == []
    assert len(Told(stack, database, other_school).plans(TODAY)) == 1


async def test_a_saved_register_is_told_with_its_marks_counted(school: School, told: Told) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    assert (await school.save_register(taught, 0, {ada: "A", ben: "P"})).status_code == 200

    ((version, saved),) = told.registers(taught.lesson_id)
    assert (version, saved.day) == (1, TODAY)
    assert (saved.present, saved.absent, saved.late, saved.excused) == (1, 1, 0, 0)
    assert saved.marked_student_ids == sorted(taught.student_ids)


async def test_a_register_that_leaves_somebody_out_names_who_is_in_it(school: School, told: Told) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    await school.save_register(taught, 0, {ben: "P"})
    await school.save_register(taught, 1, {ada: "A"})

    assert [(saved.marked_student_ids, saved.is_complete) for _, saved in told.registers(taught.lesson_id)] == [
        ([ben], False),
        (sorted([ada, ben]), True),
    ]


async def test_a_correction_is_told_again_and_a_repeat_is_not(school: School, told: Told) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    await school.save_register(taught, 0, {ada: "A", ben: "P"})

    corrected = await school.save_register(taught, 1, {ada: "P"}, reason="was in the library")
    assert corrected.status_code == 200, corrected.text
    again = await school.save_register(taught, 2, {ada: "P"}, reason="was in the library")
    assert again.status_code == 200, again.text

    assert [(version, saved.present, saved.absent) for version, saved in told.registers(taught.lesson_id)] == [
        (1, 1, 1),
        (2, 2, 0),
    ]
