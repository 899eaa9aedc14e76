"""Days that single grades have instead of the school's: which classes follow them, and what then happens to lessons."""

from datetime import date, datetime, time, timedelta
from itertools import combinations_with_replacement
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.academic.attendance import actions as attendance
from services.academic.attendance import queries as attendance_queries
from services.academic.day_plans.actions import look_at_next_school
from services.academic.tests.factories import PERIODS, TIME_ZONE, TODAY, School, Taught
from services.academic.tests.test_attendance_api import days_told
from services.academic.timetable import actions as timetable
from services.academic.timetable import rules
from services.academic.timetable.actions import school_of
from shared.bus import Outcome
from shared.contracts.academic import ClassChanged, LessonsPlanned
from shared.contracts.envelope import Envelope
from shared.contracts.school import CalendarChanged, CalendarDay, DayPeriod, GradeDay
from shared.database import Database
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver, published
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack

TOMORROW = TODAY + timedelta(days=1)
EXAM = (time(11), time(12, 30))
SHORT = (time(8), time(8, 20))
SNOW = CalendarDay(day=TOMORROW, kind="holiday", title="Snow")


def off(*grades: str, day: date = TOMORROW, title: str = "Trip") -> GradeDay:
    return GradeDay(day=day, grades=list(grades), kind="holiday", title=title)


def special(*grades: str, day: date = TOMORROW, title: str = "Exams", **bells: tuple[time, time]) -> GradeDay:
    """With these bells; names of periods begin with `p`. With those of the weekday when none are told."""
    periods = [DayPeriod(period=name[1:], starts_at=start, ends_at=end) for name, (start, end) in bells.items()]
    return GradeDay(day=day, grades=list(grades), kind="special", title=title, periods=periods or None)


async def held(school: School, day: date = TOMORROW) -> dict[str, list[tuple[str, time]]]:
    """Period and local beginning of each lesson, by class."""
    found: dict[str, list[tuple[str, time]]] = {}
    for each in (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(day)))["items"]:
        begins = datetime.fromisoformat(each["starts_at"]).time()
        found.setdefault(each["class_title"], []).append((each["period"], begins))
    return found


async def changed(school: School, class_id: UUID, *grades: str) -> Any:
    path = f"/classes/{class_id}"
    version = (await school.send("GET", path)).json()["version"]
    answer = await school.send("PATCH", path, json={"version": version, "grades": list(grades)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_two_grades_have_their_own_bells_on_one_date(school: School) -> None:
    for title, grades in {"Eleven": ("11",), "Twelve": ("12",), "Ten": ("10",)}.items():
        await school.a_class(title, ("1",), grades=grades)

    await school.tell_calendar(version=2, grade_days=(special("12", p1=EXAM), special("11", p1=SHORT)))

    assert await held(school) == {
        "Eleven": [("1", time(8))],
        "Ten": [("1", PERIODS["1"][0])],
        "Twelve": [("1", time(11))],
    }
    assert set(await held(school, TOMORROW + timedelta(days=1))) == {"Eleven", "Ten", "Twelve"}


async def test_a_grade_is_off_while_the_others_have_school(school: School) -> None:
    await school.a_class("Nine", ("1",), grades=("09",))
    await school.a_class("Ten", ("1",), grades=("10",))

    await school.tell_calendar(version=2, grade_days=(off("09"),))

    assert list(await held(school)) == ["Ten"]


async def test_a_grade_has_school_while_the_others_are_off(school: School) -> None:
    await school.a_class("Seven", ("1", "2"), grades=("07",))
    await school.a_class("Ten", ("1", "2"), grades=("10",))
    await school.a_class("Choir", ("3",))

    await school.tell_calendar(version=2, days=(SNOW,), grade_days=(special("07", title="First day"),))

    assert await held(school) == {"Seven": [("1", PERIODS["1"][0]), ("2", PERIODS["2"][0])]}


@pytest.mark.parametrize(
    ("grades", "begins"),
    [
        ((), time(9)),
        (("11", "12"), time(11)),
        (("08", "09"), None),
        (("09", "10"), time(9)),
        (("10", "12"), time(9)),
        (("07", "12"), time(9)),
        (("12",), time(11)),
        (("99",), time(9)),
    ],
    ids=str,
)
async def test_a_class_follows_its_grades_when_all_have_the_same_day(
    school: School, grades: tuple[str, ...], begins: time | None
) -> None:
    """Both of 11 and 12, however their days are called; of 08 and 09, who are off; else everybody's."""
    await school.a_class("Maths", ("1",), grades=grades)

    await school.tell_calendar(
        version=2,
        days=(
            CalendarDay(
                day=TOMORROW,
                kind="special",
                title="Late",
                periods=[DayPeriod(period="1", starts_at=time(9), ends_at=time(10))],
            ),
        ),
        grade_days=(
            special("11", title="Mock exam", p1=EXAM),
            special("12", title="Exam", p1=EXAM),
            off("09"),
            off("08", title="Another trip"),
            special("07", p1=SHORT),
        ),
    )

    assert await held(school) == ({"Maths": [("1", begins)]} if begins else {})


async def test_changing_the_grades_of_a_class_plans_its_lessons_anew(school: School, stack: Stack) -> None:
    class_id = await school.a_class("Maths", ("1",), grades=("10",))
    await school.tell_calendar(version=2, grade_days=(special("12", p1=EXAM), off("09")))
    assert await held(school) == {"Maths": [("1", PERIODS["1"][0])]}

    shown = await changed(school, class_id, "12")
    assert (shown["grades"], await held(school)) == (["12"], {"Maths": [("1", time(11))]})

    await changed(school, class_id, "09")
    assert await held(school) == {}

    await changed(school, class_id, "12", "09", "12")
    assert await held(school) == {"Maths": [("1", PERIODS["1"][0])]}
    assert (await school.send("GET", f"/classes/{class_id}")).json()["grades"] == ["09", "12"]
    assert [each.grades for each in told_of(school, stack, class_id)] == [["10"], ["12"], ["09"], ["09", "12"]]


def told_of(school: School, stack: Stack, class_id: UUID) -> list[ClassChanged]:
    return [
        msgspec.json.decode(each.data, type=ClassChanged)
        for each in published(stack.database_url("academic"), school.id)
        if each.subject == str(class_id)
    ]


async def test_the_same_grades_again_are_not_told(school: School, stack: Stack) -> None:
    class_id = await school.a_class("Maths", ("1",), grades=("12", "11"))

    shown = await changed(school, class_id, "11", "12")

    assert shown["version"] == (await school.send("GET", f"/classes/{class_id}")).json()["version"]
    assert [each.grades for each in told_of(school, stack, class_id)] == [["11", "12"]]


async def test_forgetting_the_day_of_a_grade_brings_its_lessons_back(school: School) -> None:
    await school.a_class("Nine", ("1",), grades=("09",))
    before = await held(school)
    await school.tell_calendar(version=2, grade_days=(off("09"),))
    assert await held(school) == {}

    await school.tell_calendar(version=3)

    assert await held(school) == before


async def test_what_was_saved_of_a_day_stays_when_the_day_becomes_a_grades_holiday(school: School) -> None:
    taught = await school.a_taught_class("Nine", ("1", "2", "3"), ("09",))
    await school.save_register(taught, 0, {taught.student_ids[0]: "A"}, default_code="P")

    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    assert str(taught.lesson_id) in {
        each["id"] for each in (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TODAY)))["items"]
    }
    corrected = await school.save_register(taught, 1, {taught.student_ids[0]: "P"}, reason="Was in the library")
    assert corrected.status_code == 200, corrected.text


def told_days(school: School, stack: Stack) -> dict[UUID, tuple[str, bool]]:
    """What each student's day came to last, and whether somebody is to be alerted."""
    return {each.student_id: (each.status, each.is_unexplained_absence) for each in days_told(stack, school)}


async def a_choir_of(school: School, *grades: str) -> tuple[Taught, list[UUID]]:
    """A class of no grade, with a student of each of these."""
    choir = await school.a_taught_class("Choir", ("1",))
    singers = [await school.a_student(f"Singer of {grade}", grade=grade) for grade in grades]
    for student_id in singers:
        await school.enrol(choir.class_id, student_id)
    return choir, singers


async def test_nobody_is_alerted_when_a_mixed_class_misses_those_whose_grade_is_off(
    school: School, stack: Stack
) -> None:
    choir, (nine, ten) = await a_choir_of(school, "09", "10")
    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    saved = await school.save_register(choir, 0, {nine: "A", ten: "A"}, default_code="P")

    assert saved.status_code == 200, saved.text
    days = told_days(school, stack)
    assert (days[nine], days[ten]) == (("excused", False), ("absent", True))


async def test_whose_grade_is_off_is_not_marked_present_by_default(school: School, stack: Stack) -> None:
    choir, (nine, ten) = await a_choir_of(school, "09", "10")
    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    shown = await suggested(school, choir)
    await school.save_register(choir, 0, {}, default_code="P")

    assert (shown[nine], shown[ten]) == ({"code": "E", "absence_report_id": None}, None)
    days = told_days(school, stack)
    assert (days[nine], days[ten]) == (("excused", False), ("present", False))

    await school.tell_calendar(version=3)

    assert await suggested(school, choir) == dict.fromkeys(shown)
    days = told_days(school, stack)
    assert (days[nine], days[ten]) == (("absent", True), ("present", False))


async def suggested(school: School, taught: Taught) -> dict[UUID, dict[str, Any] | None]:
    answer = await school.send("GET", f"/lessons/{taught.lesson_id}/register")
    assert answer.status_code == 200, answer.text
    return {UUID(line["student_id"]): line["prefill"] for line in answer.json()["lines"]}


async def test_a_trip_that_is_entered_after_the_register_explains_who_is_on_it(school: School, stack: Stack) -> None:
    choir, (nine, ten) = await a_choir_of(school, "09", "10")
    own = await school.a_taught_class("Nine", ("2",), ("09",))
    await school.enrol(own.class_id, nine)
    await school.save_register(choir, 0, {nine: "A", ten: "A"}, default_code="P")
    await school.save_register(own, 0, {nine: "A"}, default_code="P")
    before = told_days(school, stack)
    assert (before[nine], before[ten]) == (("absent", True), ("absent", True))

    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    after = told_days(school, stack)
    assert (after[nine], after[ten]) == (("excused", False), ("absent", True))
    assert [after[each] for each in own.student_ids] == [("present", False)] * 2

    await school.tell_calendar(version=3, grade_days=(off("10", day=TODAY),))

    after = told_days(school, stack)
    assert (after[nine], after[ten]) == (("absent", True), ("excused", False))


async def test_a_trip_that_changes_no_day_tells_of_no_day(school: School, stack: Stack) -> None:
    choir, (nine,) = await a_choir_of(school, "09")
    await school.save_register(choir, 0, {nine: "P"}, default_code="P")
    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    await school.tell_calendar(version=3, grade_days=(off("09", day=TODAY, title="To the zoo"),))

    assert len([each for each in days_told(stack, school) if each.student_id == nine]) == 1


async def test_a_closed_school_explains_nobody_who_was_missed_before(school: School, stack: Stack) -> None:
    choir, (nine,) = await a_choir_of(school, "09")
    await school.save_register(choir, 0, {nine: "A"}, default_code="P")

    await school.tell_calendar(version=2, days=(msgspec.structs.replace(SNOW, day=TODAY),))

    assert told_days(school, stack)[nine] == ("absent", True)


REGISTER_FIRST = (attendance, "derive_days")
TRIP_FIRST = (timetable, "derive_days_of_grades")


async def register_and_trip_at_once(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> tuple[str, bool]:
    """What the day of who is on the trip comes to when one is held up by the other."""
    choir, (nine,) = await a_choir_of(school, "09")

    async def take() -> None:
        saved = await school.save_register(choir, 0, {nine: "A"}, default_code="P")
        assert saved.status_code == 200, saved.text

    async def go() -> None:
        await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    first, second = (take, go) if module is attendance else (go, take)
    await one_held_up_by_the_other(stack, monkeypatch, module, name, first=first, second=second)
    return told_days(school, stack)[nine]


@pytest.mark.parametrize("order", [REGISTER_FIRST, TRIP_FIRST], ids=["register first", "trip first"])
async def test_a_register_and_a_trip_at_once_end_explained(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str]
) -> None:
    assert await register_and_trip_at_once(school, stack, monkeypatch, *order) == ("excused", False)


async def test_control_without_the_lock_of_a_grades_days_the_register_wins(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = "SELECT %(school_id)s, %(grades)s::text[], %(day)s"
    monkeypatch.setattr(attendance_queries, "LOCK_DAYS_OF_GRADES", without)

    assert await register_and_trip_at_once(school, stack, monkeypatch, *TRIP_FIRST) == ("absent", True)


async def test_who_misses_what_was_added_for_their_own_grade_is_missed(school: School, stack: Stack) -> None:
    """Their class is off too, but for this lesson: somebody wants them there."""
    taught = await school.a_taught_class("Nine", ("1",), ("09",))
    nine = await school.a_student("Nina", grade="09")
    await school.enrol(taught.class_id, nine)
    extra = await school.made("/lessons", class_id=str(taught.class_id), day=str(TODAY), period="3")
    await school.tell_calendar(version=2, grade_days=(off("09", day=TODAY),))

    at_extra = msgspec.structs.replace(taught, lesson_id=UUID(extra["id"]))
    assert (await suggested(school, at_extra))[nine] is None
    saved = await school.save_register(at_extra, 0, {nine: "A"}, default_code="P")

    assert saved.status_code == 200, saved.text
    assert told_days(school, stack)[nine] == ("absent", True)


async def test_a_cancelled_lesson_stays_so_through_its_grades_days(school: School) -> None:
    await school.a_class("Twelve", ("1",), grades=("12",))
    (lesson,) = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW)))["items"]
    body = {"version": lesson["version"], "is_cancelled": True}
    assert (await school.send("PATCH", f"/lessons/{lesson['id']}", json=body)).status_code == 200

    await school.tell_calendar(version=2, grade_days=(special("12", p1=EXAM),))

    (moved,) = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW)))["items"]
    assert (moved["id"], moved["is_cancelled"]) == (lesson["id"], True)
    assert datetime.fromisoformat(moved["starts_at"]).time() == time(11)


async def test_by_hand_a_lesson_goes_by_the_bells_of_its_classs_grades(school: School) -> None:
    twelve, nine, ten = [await school.a_class(each, (), grades=(each,)) for each in ("12", "09", "10")]
    await school.tell_calendar(version=2, grade_days=(special("12", p2=EXAM), off("09", title="Zoo")))

    async def added(class_id: UUID, period: str) -> Any:
        body = {"class_id": str(class_id), "day": str(TOMORROW), "period": period}
        return await school.send("POST", "/lessons", json=body)

    assert datetime.fromisoformat((await added(twelve, "2")).json()["starts_at"]).time() == time(11)
    assert datetime.fromisoformat((await added(ten, "2")).json()["starts_at"]).time() == PERIODS["2"][0]
    assert (await added(twelve, "1")).json()["type"] == "/problems/not-a-school-day"
    assert (await added(nine, "2")).json()["detail"] == f"{TOMORROW} is a holiday: Zoo."


async def test_a_lesson_is_not_brought_back_onto_a_holiday_of_its_grade(school: School) -> None:
    await school.a_class("Nine", ("1",), grades=("09",))
    (lesson,) = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW)))["items"]
    path = f"/lessons/{lesson['id']}"
    cancelled = await school.send("PATCH", path, json={"version": lesson["version"], "is_cancelled": True})
    await school.tell_calendar(version=2, grade_days=(off("09"),))

    answer = await school.send("PATCH", path, json={"version": cancelled.json()["version"], "is_cancelled": False})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-a-school-day")


@pytest.mark.parametrize(
    ("day", "offset_hours"), [(date(2026, 10, 31), -4), (date(2026, 11, 1), -5), (date(2027, 3, 14), -4)]
)
async def test_a_grades_bells_keep_the_wall_clock_over_a_change_of_clocks(
    school: School, day: date, offset_hours: int
) -> None:
    await school.a_class("Twelve", ("1",), grades=("12",))
    term = (date(2026, 10, 1), date(2027, 4, 1))

    await school.tell_calendar(version=2, term=term, grade_days=(special("12", day=day, p1=EXAM),))

    (lesson,) = (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(day)))["items"]
    starts_at = datetime.fromisoformat(lesson["starts_at"])
    assert starts_at == datetime.combine(day, time(11), ZoneInfo(TIME_ZONE))
    assert starts_at.utcoffset() == timedelta(hours=offset_hours)


async def test_who_asks_for_the_lessons_of_a_day_is_told_which_grades_have_another(school: School) -> None:
    student_id = await school.a_student()
    before = await school.lessons(Role.STUDENT, student_id, day=str(TOMORROW))

    await school.tell_calendar(version=2, days=(SNOW,), grade_days=(special("12", "07", title="Exams"),))

    day = await school.lessons(Role.STUDENT, student_id, day=str(TOMORROW))
    assert (before["grade_days"], day["holiday"]) == ([], "Snow")
    assert day["grade_days"] == [{"grade": grade, "kind": "special", "title": "Exams"} for grade in ("07", "12")]


async def test_an_older_calendar_does_not_bring_a_grades_day_back(school: School) -> None:
    await school.a_class("Nine", ("1",), grades=("09",))
    await school.tell_calendar(version=3)

    await school.tell_calendar(version=2, grade_days=(off("09"),))

    assert list(await held(school)) == ["Nine"]


async def test_what_was_told_before_there_were_days_of_grades_is_everybodys(school: School) -> None:
    """As the release before tells it, after one that knew of grades."""
    await school.a_class("Nine", ("1",), grades=("09",))
    await school.a_class("Ten", ("1",), grades=("10",))
    await school.tell_calendar(version=2, grade_days=(off("09"),))
    told = msgspec.to_builtins(
        CalendarChanged(school_id=school.id, academic_sessions=[], bell_periods=[], calendar_days=[SNOW])
    )
    del told["grade_days"]
    event = msgspec.convert(told, CalendarChanged)

    assert await deliver(school.worker, event, school_id=school.id, version=3) == Outcome.DONE

    day = await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW))
    assert (day["holiday"], day["items"], day["grade_days"]) == ("Snow", [], [])


async def test_a_plan_says_which_of_its_lessons_do_not_meet(school: School, stack: Stack, database: Database) -> None:
    """What was added by hand, or has begun, is still there on a holiday."""
    nine = await school.a_class("Nine", (), grades=("09",))
    ten = await school.a_class("Ten", (), grades=("10",))
    for class_id in (nine, ten):
        await school.made("/lessons", class_id=str(class_id), day=str(TOMORROW), period="1")

    await school.tell_calendar(version=2, grade_days=(off("09"),))
    while await look_at_next_school(database):
        pass

    assert last_plan(school, stack) == {"Nine": True, "Ten": False}

    await school.tell_calendar(version=3, days=(SNOW,), grade_days=(special("09"),))
    while await look_at_next_school(database):
        pass

    assert last_plan(school, stack) == {"Nine": False, "Ten": True}


@pytest.mark.parametrize("everybody", [(), (SNOW,)], ids=["a school day", "a holiday"])
async def test_what_is_read_of_lessons_goes_by_the_rule_that_plans_them(
    school: School, stack: Stack, database: Database, everybody: tuple[CalendarDay, ...]
) -> None:
    """The rule is written twice, once in SQL: here for classes of no grade, of each, and of every two."""
    told = ("07", "08", "09", "11", "12")
    classes = {"": (), **{",".join(each): each for each in combinations_with_replacement((*told, "99"), 2)}}
    for title, grades in classes.items():
        class_id = await school.a_class(f"Class {title}", (), grades=grades)
        await school.made("/lessons", class_id=str(class_id), day=str(TOMORROW), period="1")

    days = (off("08"), off("09", title="Zoo"), special("07"), special("11", p1=EXAM), special("12", p1=EXAM))
    await school.tell_calendar(version=2, days=everybody, grade_days=days)
    while await look_at_next_school(database):
        pass

    async with database.transaction(school_id=school.id) as tx:
        known = await school_of(tx, school.id)
    ruled = {title: rules.day_of(known, TOMORROW, sorted(set(grades))) for title, grades in classes.items()}
    assert last_plan(school, stack) == {
        f"Class {title}": day is not None and day.kind == "holiday" for title, day in ruled.items()
    }


def last_plan(school: School, stack: Stack) -> dict[str, bool | None]:
    plans: list[Envelope] = [
        each
        for each in published(stack.database_url("academic"), school.id)
        if each.subject == f"{school.id}/{TOMORROW}"
    ]
    plan = msgspec.json.decode(plans[-1].data, type=LessonsPlanned)
    return {each.class_title: each.is_on_holiday for each in plan.lessons}


# Who may say what grades a class is for.


@pytest.mark.parametrize(
    "grades", [[""], [" 12"], ["12 "], ["1\x00"], ["1\n2"], ["12\n"], ["x" * 21], "12", None], ids=repr
)
async def test_grades_that_cannot_be_read_are_refused(school: School, grades: object) -> None:
    class_id = await school.a_class()

    answer = await school.send("PATCH", f"/classes/{class_id}", json={"version": 1, "grades": grades})

    assert answer.status_code == 400


async def test_a_class_that_changed_since_it_was_read_keeps_its_grades(school: School) -> None:
    class_id = await school.a_class(grades=("12",))
    version = (await school.send("GET", f"/classes/{class_id}")).json()["version"]
    await changed(school, class_id, "11")

    answer = await school.send("PATCH", f"/classes/{class_id}", json={"version": version, "grades": ["10"]})

    assert answer.status_code == 412
    assert (await school.send("GET", f"/classes/{class_id}")).json()["grades"] == ["11"]


@pytest.mark.parametrize("role", [Role.TEACHER, Role.GUARDIAN, Role.STUDENT, Role.PLATFORM_ADMIN])
async def test_only_the_office_says_what_grades_a_class_is_for(school: School, role: str) -> None:
    taught = await school.a_taught_class()
    body = {"version": 1, "grades": ["12"]}

    answer = await school.send(
        "PATCH", f"/classes/{taught.class_id}", role=role, person_id=taught.teacher_id, json=body
    )

    assert answer.status_code == 403


async def test_another_schools_class_is_not_there_and_nobody_is_let_in(school: School, other_school: School) -> None:
    class_id = await school.a_class()
    body = {"version": 1, "grades": ["12"]}

    foreign = await other_school.send("PATCH", f"/classes/{class_id}", json=body)
    unknown = await school.send("PATCH", f"/classes/{new_id()}", json=body)
    nobody = await school.client.patch(f"/api/v1/classes/{class_id}", json=body)

    assert (foreign.status_code, unknown.status_code, nobody.status_code) == (404, 404, 401)
    assert (await school.send("GET", f"/classes/{class_id}")).json()["grades"] == []


async def test_the_grades_days_of_another_school_are_its_own(school: School, other_school: School) -> None:
    for each in (school, other_school):
        await each.a_class("Nine", ("1",), grades=("09",))

    await other_school.tell_calendar(version=2, grade_days=(off("09"),))

    assert list(await held(school)) == ["Nine"]
    assert await held(other_school) == {}
    assert (await school.lessons(Role.SCHOOL_ADMIN, None, day=str(TOMORROW)))["grade_days"] == []
