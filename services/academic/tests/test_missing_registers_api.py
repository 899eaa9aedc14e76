"""Missing registers: told once a step, to nobody once they are saved, and listed until they are."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest

from services.academic.missing_registers import actions, queries
from services.academic.missing_registers.actions import look_at_next_school
from services.academic.settings import Settings
from services.academic.tests.factories import PERIODS, TIME_ZONE, TODAY, School, a_school
from services.academic.timetable.rules import instant
from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import ClassChanged, RegisterMissing, RegisterNotMissing
from shared.contracts.school import CalendarDay, GradeDay, SchoolChanged
from shared.database import Database, Tx
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver, published
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker

SNOW = CalendarDay(day=TODAY, kind="holiday", title="Snow")


class Hands:
    """The hands of the clock: what all of the service takes for the present."""

    def __init__(self) -> None:
        self.instant = at("07:00")

    def __call__(self) -> datetime:
        return self.instant


class LastingTokens(Tokens):
    """Good for whatever the hands of the clock may be set to."""

    def token(self, role: str, **how: Any) -> str:
        return super().token(role, **{"exp": int(at("12:00", date(2030, 1, 1)).timestamp()), **how})


@pytest.fixture
def tokens() -> Tokens:
    return LastingTokens()


def at(text: str, day: date = TODAY) -> datetime:
    return instant(day, time.fromisoformat(text), TIME_ZONE)


@pytest.fixture(autouse=True)
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(clock, "now", hands)
    return hands


@pytest.fixture
async def school(hands: Hands, client: httpx.AsyncClient, tokens: Tokens, worker: Worker) -> School:
    return await a_school(client, tokens, worker)


@pytest.fixture
async def other_database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


class Watch:
    """The worker's look at all schools, at a time of the day."""

    def __init__(self, hands: Hands, database: Database, stack: Stack) -> None:
        self._hands, self._database, self._stack = hands, database, stack

    async def look(self, text: str, day: date = TODAY) -> None:
        self._hands.instant = at(text, day)
        while await look_at_next_school(self._database):
            pass

    def told(self, school: School) -> list[RegisterMissing]:
        return [
            msgspec.json.decode(each.data, type=RegisterMissing)
            for each in published(self._stack.database_url("academic"), school.id)
            if each.type == "academic.register_missing.v1"
        ]

    def steps(self, school: School) -> list[str]:
        return [each.step for each in self.told(school)]

    def taken_back(self, school: School) -> list[UUID]:
        """The lessons, each as often as it was told to be missing no longer."""
        return [
            msgspec.json.decode(each.data, type=RegisterNotMissing).lesson_id
            for each in published(self._stack.database_url("academic"), school.id)
            if each.type == "academic.register_not_missing.v1"
        ]


@pytest.fixture
def watch(hands: Hands, database: Database, stack: Stack) -> Watch:
    return Watch(hands, database, stack)


async def settings_told(school: School, *, version: int, reminder: int = 15, escalation: int = 60, **more: Any) -> None:
    event = SchoolChanged(
        **{
            "school_id": school.id,
            "district_id": new_id(),
            "name": "A school",
            "time_zone": TIME_ZONE,
            "grace_period_minutes": 10,
            "register_reminder_minutes": reminder,
            "register_escalation_minutes": escalation,
            **more,
        }
    )
    assert await deliver(school.worker, event, school_id=school.id, version=version) == Outcome.DONE


async def test_the_teacher_hears_first_and_the_office_later_each_once(school: School, watch: Watch) -> None:
    taught = await school.a_taught_class()

    await watch.look("08:14")
    assert watch.told(school) == []
    await watch.look("08:15")
    await watch.look("08:40")
    assert watch.steps(school) == ["teacher"]
    await watch.look("09:00")
    await watch.look("11:00")

    assert watch.steps(school) == ["teacher", "office"]
    assert watch.told(school)[0] == RegisterMissing(
        lesson_id=taught.lesson_id,
        class_id=taught.class_id,
        class_title="Maths",
        day=TODAY,
        starts_at=at("08:00"),
        ends_at=at("08:45"),
        step="teacher",
        teacher_ids=[taught.teacher_id],
    )


async def test_each_step_is_an_event_of_its_own(school: School, watch: Watch, stack: Stack) -> None:
    taught = await school.a_taught_class()

    await watch.look("09:30")

    told = [each for each in published(stack.database_url("academic"), school.id) if "register_missing" in each.type]
    subjects = [f"{taught.lesson_id}/teacher", f"{taught.lesson_id}/office"]
    assert [(each.subject, each.version) for each in told] == [(subject, 1) for subject in subjects]


async def test_a_saved_register_is_not_told_of(school: School, watch: Watch, hands: Hands) -> None:
    taught = await school.a_taught_class()
    await watch.look("08:15")
    hands.instant = at("08:20")
    await school.save_register(taught, 0, {}, default_code="P")

    await watch.look("09:30")

    assert watch.steps(school) == ["teacher"]


async def test_only_lessons_that_meet_and_have_students_are_told_of(school: School, watch: Watch) -> None:
    cancelled = await school.a_taught_class("Cancelled", ("1",))
    lesson = (await school.lessons(Role.TEACHER, cancelled.teacher_id))["items"][0]
    body = {"version": lesson["version"], "is_cancelled": True}
    assert (await school.send("PATCH", f"/lessons/{lesson['id']}", json=body)).is_success
    empty = await school.a_class("Empty", ("2",))
    await school.enrol(empty, await school.a_teacher(), "teacher")
    left = await school.a_class("Left", ("3",))
    await school.enrol(left, await school.a_student(), ends_on=str(TODAY - timedelta(days=1)))
    to_come = await school.a_class("To come", ("3",))
    await school.enrol(to_come, await school.a_student(), starts_on=str(TODAY + timedelta(days=1)))

    await watch.look("13:00")

    assert watch.told(school) == []


async def test_a_student_who_joins_today_makes_the_register_wanted(school: School, watch: Watch) -> None:
    class_id = await school.a_class()
    await watch.look("08:30")
    assert watch.told(school) == []

    await school.enrol(class_id, await school.a_student(), starts_on=str(TODAY))
    await watch.look("08:31")

    assert watch.steps(school) == ["teacher"]


async def add_lesson(school: School, class_id: UUID, period: str) -> UUID:
    answer = await school.send(
        "POST", "/lessons", json={"class_id": str(class_id), "day": str(TODAY), "period": period}
    )
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def test_a_lesson_on_a_holiday_is_not_told_of(school: School, watch: Watch) -> None:
    """Planning takes lessons off a holiday; one that was added by hand stays."""
    taught = await school.a_taught_class("Maths", ("1",))
    added = await add_lesson(school, taught.class_id, "2")
    await school.tell_calendar(version=2, days=(CalendarDay(day=TODAY, kind="holiday", title="Snow"),))

    await watch.look("13:00")

    assert [each["id"] for each in (await school.lessons(Role.TEACHER, taught.teacher_id))["items"]] == [str(added)]
    assert watch.told(school) == []
    assert await missing(school, day=str(TODAY)) == []


async def test_a_holiday_has_no_register_but_of_what_was_added_by_hand_or_saved_before(
    school: School, hands: Hands
) -> None:
    maths, art = await school.a_taught_class("Maths", ("1",)), await school.a_taught_class("Art", ("2",))
    trip = msgspec.structs.replace(maths, lesson_id=await add_lesson(school, maths.class_id, "3"))
    hands.instant = at("08:10")
    await school.save_register(maths, 0, {maths.student_ids[0]: "A"}, default_code="P")
    hands.instant = at("09:10")
    await school.tell_calendar(version=2, days=(CalendarDay(day=TODAY, kind="holiday", title="Snow"),))

    refused = await school.save_register(art, 0, {}, default_code="P")
    added = await school.save_register(trip, 0, {}, default_code="P")
    corrected = await school.save_register(maths, 1, {maths.student_ids[0]: "P"}, reason="Was in the library")

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/lesson-on-holiday")
    assert "Snow" in refused.json()["detail"]
    assert (added.status_code, corrected.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("everybody", "grades", "is_off"),
    [
        ((), ("12",), True),
        ((), ("11", "12"), True),
        ((), ("12", "07"), False),
        ((), (), False),
        ((SNOW,), ("07",), False),
        ((SNOW,), ("07", "12"), True),
        ((SNOW,), ("10",), True),
    ],
    ids=str,
)
async def test_a_lesson_on_a_holiday_of_its_grades_is_not_told_of_and_has_no_register(
    school: School,
    watch: Watch,
    hands: Hands,
    everybody: tuple[CalendarDay, ...],
    grades: tuple[str, ...],
    is_off: bool,
) -> None:
    """The one that has begun stays when the day is told too late."""
    begun = await school.a_taught_class("Maths", ("1",), grades)
    other = await school.a_taught_class("Art", ("2",))
    hands.instant = at("08:05")
    await school.save_register(other, 0, {}, default_code="P")
    await school.tell_calendar(
        version=2,
        days=everybody,
        grade_days=(
            GradeDay(day=TODAY, grades=["12"], kind="holiday", title="Trip to the sea"),
            GradeDay(day=TODAY, grades=["11"], kind="holiday", title="Trip to the hills"),
            GradeDay(day=TODAY, grades=["07"], kind="special", title="First day"),
        ),
    )

    await watch.look("08:20")
    listed = [each["lesson_id"] for each in await missing(school, day=str(TODAY))]
    saved = await school.save_register(begun, 0, {}, default_code="P")

    assert [each.lesson_id for each in watch.told(school)] == ([] if is_off else [begun.lesson_id])
    assert listed == ([] if is_off else [str(begun.lesson_id)])
    assert saved.status_code == (409 if is_off else 200)


async def test_a_lesson_that_is_moved_is_due_at_its_new_time(school: School, watch: Watch) -> None:
    await school.a_taught_class()
    await watch.look("08:10")

    await school.tell_calendar(version=2, periods={**PERIODS, "1": (time(8, 30), time(8, 50))})
    await watch.look("08:44")
    assert watch.told(school) == []
    await watch.look("08:45")

    assert [each.starts_at for each in watch.told(school)] == [at("08:30")]


async def test_a_lesson_that_is_moved_after_it_was_told_is_not_told_again(school: School, watch: Watch) -> None:
    await school.a_taught_class()
    await watch.look("08:15")

    await school.tell_calendar(version=2, periods={**PERIODS, "1": (time(8, 30), time(8, 50))})
    await watch.look("08:50")

    assert watch.steps(school) == ["teacher"]


async def test_a_lesson_brought_back_is_due_again(school: School, watch: Watch) -> None:
    taught = await school.a_taught_class()
    path = f"/lessons/{taught.lesson_id}"
    version = (await school.send("GET", path)).json()["version"]
    await school.send("PATCH", path, json={"version": version, "is_cancelled": True})
    await watch.look("08:30")
    assert watch.told(school) == []

    await school.send("PATCH", path, json={"version": version + 1, "is_cancelled": False})
    await watch.look("08:31")

    assert watch.steps(school) == ["teacher"]


async def test_a_lesson_brought_back_after_it_was_told_is_told_again(school: School, watch: Watch) -> None:
    taught = await school.a_taught_class()
    await watch.look("08:15")
    path = f"/lessons/{taught.lesson_id}"
    version = (await school.send("GET", path)).json()["version"]

    await school.send("PATCH", path, json={"version": version, "is_cancelled": True})
    await school.send("PATCH", path, json={"version": version + 1, "is_cancelled": False})
    await watch.look("08:31")
    await watch.look("08:32")

    assert watch.steps(school) == ["teacher", "teacher"]


async def test_a_lesson_of_yesterday_that_is_cancelled_is_missing_no_longer(school: School, watch: Watch) -> None:
    taught = await school.a_taught_class()
    await watch.look("09:00")
    path = f"/lessons/{taught.lesson_id}"
    version = (await school.send("GET", path)).json()["version"]
    tomorrow = TODAY + timedelta(days=1)
    await watch.look("07:30", tomorrow)
    assert watch.taken_back(school) == []

    await school.send("PATCH", path, json={"version": version, "is_cancelled": True})
    await watch.look("07:31", tomorrow)
    await watch.look("07:32", tomorrow)

    assert watch.steps(school) == ["teacher", "office"]
    assert watch.taken_back(school) == [taught.lesson_id]


@pytest.mark.parametrize("takes_registers", [True, False])
async def test_a_holiday_that_was_a_mistake_lets_it_be_missing_anew(
    school: School, watch: Watch, hands: Hands, *, takes_registers: bool
) -> None:
    """Past lessons of a school that takes none yet follow the calendar: there is no such lesson meanwhile."""
    taught, other = await school.a_taught_class("Maths", ("1",)), await school.a_taught_class("Art", ("2",))
    hands.instant = at("08:05")
    if takes_registers:
        await school.save_register(other, 0, {}, default_code="P")
    await watch.look("08:15")
    await school.tell_calendar(version=2, days=(SNOW,))
    await watch.look("08:20")
    assert watch.taken_back(school) == [taught.lesson_id]

    await school.tell_calendar(version=3)
    await watch.look("08:30")
    await watch.look("08:31")

    assert watch.steps(school) == ["teacher", "teacher"]
    assert watch.taken_back(school) == [taught.lesson_id]


async def test_what_is_saved_whole_is_not_told_to_be_missing_no_longer(
    school: School, watch: Watch, hands: Hands
) -> None:
    """It says so itself; its reminders are of one that was missing, once."""
    taught = await school.a_taught_class()
    await watch.look("08:15")
    await school.save_register(taught, 0, {}, default_code="P")
    await school.tell_calendar(version=2, days=(SNOW,))

    await watch.look("08:20")

    assert watch.taken_back(school) == []


async def test_settings_count_from_the_moment_they_change(school: School, watch: Watch) -> None:
    await school.a_taught_class()
    await settings_told(school, version=2, reminder=45, escalation=90)
    await watch.look("08:30")
    assert watch.told(school) == []

    await settings_told(school, version=3, reminder=20, escalation=90)
    await watch.look("08:31")
    await settings_told(school, version=4, reminder=25, escalation=50)
    await watch.look("08:49")

    assert watch.steps(school) == ["teacher"]
    await watch.look("08:50")
    assert watch.steps(school) == ["teacher", "office"]


@pytest.mark.parametrize(("reminder", "escalation", "steps"), [(0, 60, ["office"]), (15, 0, ["teacher"]), (0, 0, [])])
async def test_a_step_that_the_school_does_not_want_is_left_out(
    school: School, watch: Watch, reminder: int, escalation: int, steps: list[str]
) -> None:
    await settings_told(school, version=2, reminder=reminder, escalation=escalation)
    await school.a_taught_class()

    await watch.look("12:00")

    assert watch.steps(school) == steps


async def test_after_a_long_outage_yesterday_is_left_to_the_list(school: School, watch: Watch) -> None:
    await school.a_taught_class(periods=("1", "3"))

    await watch.look("20:01")

    assert [(each.step, each.starts_at) for each in watch.told(school)] == [
        ("teacher", at("10:00")),
        ("office", at("10:00")),
    ]
    assert len(await missing(school, day=str(TODAY))) == 2


@pytest.mark.parametrize("day", [date(2027, 3, 14), date(2026, 11, 1)], ids=["spring", "autumn"])
async def test_minutes_count_from_the_bell_when_clocks_change(
    hands: Hands, client: httpx.AsyncClient, tokens: Tokens, worker: Worker, watch: Watch, day: date
) -> None:
    hands.instant = at("07:00", day)
    school = await a_school(client, tokens, worker)
    around = (day - timedelta(days=3), day + timedelta(days=3))
    await school.tell_calendar(version=2, term=around)
    class_id = await school.a_class()
    await school.enrol(class_id, await school.a_student(), starts_on=str(around[0]))

    await watch.look("08:14", day)
    assert watch.told(school) == []
    await watch.look("08:15", day)

    assert [(each.step, each.day, each.starts_at) for each in watch.told(school)] == [
        ("teacher", day, at("08:00", day))
    ]


async def test_schools_of_other_zones_are_told_in_their_own_morning(school: School, watch: Watch) -> None:
    await settings_told(school, version=2, time_zone="America/Los_Angeles")
    await school.a_taught_class()

    await watch.look("11:14")
    assert watch.told(school) == []
    await watch.look("11:15")

    assert watch.steps(school) == ["teacher"]


async def test_two_workers_at_once_tell_once(
    school: School, watch: Watch, hands: Hands, database: Database, other_database: Database
) -> None:
    for number in range(3):
        await school.a_taught_class(f"Class {number}", periods=(str(number + 1),))
    hands.instant = at("12:00")

    async def work(database: Database) -> None:
        while await look_at_next_school(database):
            pass

    await asyncio.gather(*(work(each) for each in (database, other_database, database, other_database)))

    assert sorted(watch.steps(school)) == ["office"] * 3 + ["teacher"] * 3


async def test_control_without_the_notices_it_is_told_twice(
    school: School, watch: Watch, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await school.a_taught_class()
    forgetful = """
    SELECT lesson_id, step
    FROM unnest(%(lesson_ids)s::uuid[], %(steps)s::text[]) AS due (lesson_id, step)
    WHERE %(school_id)s IS NOT NULL AND %(now)s IS NOT NULL
    """
    monkeypatch.setattr(queries, "ADD_NOTICES", forgetful)

    await watch.look("08:20")
    await watch.look("08:30")

    assert watch.steps(school) == ["teacher", "teacher"]


async def test_a_worker_that_dies_between_claim_and_telling_loses_nothing(
    school: School, watch: Watch, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await school.a_taught_class()
    publish_all = actions.publish_all
    killed: list[UUID] = []

    async def dying(tx: Tx, events: Any, *, school_id: UUID) -> Any:
        if school_id == school.id and not killed:
            killed.append(school_id)
            pid = await tx.value(int, "SELECT pg_backend_pid()")
            with psycopg.connect(stack.admin_url, autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return await publish_all(tx, events, school_id=school_id)

    monkeypatch.setattr(actions, "publish_all", dying)
    with pytest.raises(Exception, match=r"went away|terminat|closed|lost"):
        await watch.look("08:15")
    assert killed
    assert watch.told(school) == []

    await watch.look("08:16")

    assert watch.steps(school) == ["teacher"]


async def test_one_school_at_fault_does_not_hold_up_the_others(
    school: School,
    hands: Hands,
    client: httpx.AsyncClient,
    tokens: Tokens,
    worker: Worker,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await school.a_taught_class()
    other = await a_school(client, tokens, worker)
    await other.a_taught_class()
    tell_missing = actions.tell_missing

    async def failing(tx: Tx, school_id: UUID, *, now: datetime) -> datetime:
        if school_id == school.id:
            raise ValueError("cannot be read")
        return await tell_missing(tx, school_id, now=now)

    monkeypatch.setattr(actions, "tell_missing", failing)
    await watch.look("08:15")
    assert (watch.steps(school), watch.steps(other)) == ([], ["teacher"])
    monkeypatch.setattr(actions, "tell_missing", tell_missing)
    await watch.look("08:17")

    assert (watch.steps(school), watch.steps(other)) == (["teacher"], ["teacher"])


async def test_a_register_saved_between_reading_and_telling_is_not_told_of(
    school: School, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = await school.a_taught_class()
    lock_lessons = queries.lock_lessons

    async def saved_meanwhile(tx: Tx, *, school_id: UUID, lesson_ids: Any) -> list[UUID]:
        if school_id == school.id:
            assert (await school.save_register(taught, 0, {}, default_code="P")).is_success
        return await lock_lessons(tx, school_id=school_id, lesson_ids=lesson_ids)

    monkeypatch.setattr(queries, "lock_lessons", saved_meanwhile)

    await watch.look("08:15")

    assert watch.told(school) == []


async def test_control_without_the_second_reading_it_is_told_of(
    school: School, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = await school.a_taught_class()
    open_lessons = queries.open_lessons
    seen: list[Any] = []

    async def read_once(tx: Tx, *, school_id: UUID, **how: Any) -> Any:
        if school_id != school.id:
            return await open_lessons(tx, school_id=school_id, **how)
        if not seen:
            seen.append(await open_lessons(tx, school_id=school_id, **how))
            assert (await school.save_register(taught, 0, {}, default_code="P")).is_success
        return seen[0]

    monkeypatch.setattr(queries, "open_lessons", read_once)

    await watch.look("08:15")

    assert watch.steps(school) == ["teacher"]


async def test_a_register_that_is_just_being_saved_is_let_through(school: School, watch: Watch, stack: Stack) -> None:
    taught = await school.a_taught_class()
    add = "INSERT INTO register (school_id, lesson_id, version, saved_at, saved_by) VALUES (%s, %s, 1, now(), %s)"

    with psycopg.connect(stack.database_url("academic")) as saving:
        saving.execute("SELECT set_config('app.school_id', %s, true)", (str(school.id),))
        saving.execute(add, (school.id, taught.lesson_id, new_id()))
        await watch.look("08:15")
        assert watch.told(school) == []
        saving.rollback()

    await watch.look("08:16")
    assert watch.steps(school) == ["teacher"]


async def test_the_worker_looks_by_itself(
    school: School, hands: Hands, watch: Watch, stack: Stack, worker: Worker
) -> None:
    await school.a_taught_class()
    hands.instant = at("08:15")

    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(60):
            while not watch.told(school):
                await asyncio.sleep(0.1)
    finally:
        running.cancel()
        await asyncio.wait({running})

    assert watch.steps(school) == ["teacher"]


async def missing(school: School, role: str = Role.SCHOOL_ADMIN, person_id: UUID | None = None, **params: Any) -> Any:
    answer = await school.send("GET", "/missing-registers", role=role, person_id=person_id, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_the_office_sees_what_is_missing_and_where_to_save_it(school: School, watch: Watch, hands: Hands) -> None:
    taught = await school.a_taught_class(periods=("1", "3"))
    await watch.look("09:05")

    [found] = await missing(school, day=str(TODAY))

    assert (found["lesson_id"], found["lack"]) == (str(taught.lesson_id), "missing")
    assert (found["students"], found["unmarked"]) == (2, 2)
    assert found["teacher_ids"] == [str(taught.teacher_id)]
    assert datetime.fromisoformat(found["starts_at"]).strftime("%H:%M") == "08:00"
    assert [datetime.fromisoformat(found[each]) for each in ("reminded_at", "escalated_at")] == [at("09:05")] * 2
    instants = [datetime.fromisoformat(found[each]) for each in ("starts_at", "ends_at", "reminded_at", "escalated_at")]
    assert [each.strftime("%H:%M") for each in instants] == ["08:00", "08:45", "09:05", "09:05"]
    register = await school.client.get(
        found["register"],
        headers=school.tokens.headers(Role.TEACHER, school_id=school.id, person_id=taught.teacher_id),
    )
    assert register.json()["version"] == 0


async def test_who_is_not_active_any_more_is_on_no_roll(school: School, watch: Watch, stack: Stack) -> None:
    class_id, later_id = await school.a_class("Solo", ("1",)), await school.a_class("Later", ("2",))
    student_id = await school.a_student()
    for each, starts_on in ((class_id, TODAY - timedelta(days=9)), (later_id, TODAY + timedelta(days=9))):
        await school.enrol(each, student_id, starts_on=str(starts_on))
    version = (await school.send("GET", f"/students/{student_id}")).json()["version"]

    gone = await school.send("PATCH", f"/students/{student_id}", json={"version": version, "is_active": False})
    await watch.look("09:30")

    assert gone.status_code == 200, gone.text
    assert watch.told(school) == []
    assert await missing(school, day=str(TODAY)) == []
    told = {
        each.class_id: each
        for each in (
            msgspec.json.decode(each.data, type=ClassChanged)
            for each in published(stack.database_url("academic"), school.id)
            if each.type == "academic.class_changed.v1"
        )
    }
    assert [each.ends_on for each in told[class_id].members] == [TODAY - timedelta(days=1)]
    assert told[later_id].members == []


async def test_a_student_who_joined_after_the_register_makes_it_incomplete(school: School, hands: Hands) -> None:
    hands.instant = at("08:20")
    taught = await school.a_taught_class()
    await school.save_register(taught, 0, {}, default_code="P")
    assert await missing(school, day=str(TODAY)) == []

    joined = await school.a_student("Cleo")
    await school.enrol(taught.class_id, joined, starts_on=str(TODAY))

    [found] = await missing(school, day=str(TODAY))
    assert (found["lack"], found["students"], found["unmarked"]) == ("incomplete", 3, 1)
    assert await missing(school, day=str(TODAY), lack="missing") == []
    await school.save_register(taught, 1, {joined: "P"})
    assert await missing(school, day=str(TODAY)) == []


async def test_a_register_that_leaves_somebody_out_is_told_of_until_they_are_in_it(
    school: School, watch: Watch, hands: Hands
) -> None:
    taught = await school.a_taught_class()
    ada, ben = taught.student_ids
    hands.instant = at("08:05")
    await school.save_register(taught, 0, {ada: "P"})

    await watch.look("08:15")
    await watch.look("08:40")
    assert watch.steps(school) == ["teacher"]
    assert [each["lack"] for each in await missing(school, day=str(TODAY))] == ["incomplete"]
    await school.save_register(taught, 1, {ben: "P"})
    await watch.look("12:00")

    assert watch.steps(school) == ["teacher"]


async def test_a_register_that_stays_incomplete_is_told_to_the_office_too(
    school: School, watch: Watch, hands: Hands
) -> None:
    taught = await school.a_taught_class()
    hands.instant = at("08:05")
    await school.save_register(taught, 0, {taught.student_ids[0]: "P"})

    for time_ in ("08:15", "09:00", "11:00"):
        await watch.look(time_)

    assert watch.steps(school) == ["teacher", "office"]


async def test_who_joins_after_the_register_was_saved_makes_nobody_hear_of_it(
    school: School, watch: Watch, hands: Hands
) -> None:
    taught = await school.a_taught_class()
    hands.instant = at("08:05")
    await school.save_register(taught, 0, {}, default_code="P")
    await school.enrol(taught.class_id, await school.a_student("Cleo"), starts_on=str(TODAY))

    await watch.look("12:00")

    assert watch.told(school) == []
    assert [each["lack"] for each in await missing(school, day=str(TODAY))] == ["incomplete"]


async def test_who_was_left_out_and_leaves_the_class_is_waited_for_no_longer(
    school: School, watch: Watch, hands: Hands
) -> None:
    taught = await school.a_taught_class()
    cleo = await school.a_student("Cleo")
    spell = await school.enrol(taught.class_id, cleo)
    hands.instant = at("08:05")
    await school.save_register(taught, 0, dict.fromkeys(taught.student_ids, "P"))
    ended = await school.send(
        "POST", f"/enrolments/{spell['id']}/end", json={"ends_on": str(TODAY - timedelta(days=1))}
    )
    assert ended.status_code == 200, ended.text

    await watch.look("12:00")

    assert watch.told(school) == []


async def test_who_was_left_out_and_leaves_the_class_is_missed_no_longer(
    school: School, watch: Watch, hands: Hands
) -> None:
    taught = await school.a_taught_class()
    spell = await school.enrol(taught.class_id, await school.a_student("Cleo"))
    hands.instant = at("08:05")
    await school.save_register(taught, 0, dict.fromkeys(taught.student_ids, "P"))
    await watch.look("08:15")
    await watch.look("08:20")
    assert (watch.steps(school), watch.taken_back(school)) == (["teacher"], [])

    ended = await school.send(
        "POST", f"/enrolments/{spell['id']}/end", json={"ends_on": str(TODAY - timedelta(days=1))}
    )
    assert ended.status_code == 200, ended.text
    await watch.look("09:30")

    assert (watch.steps(school), watch.taken_back(school)) == (["teacher"], [taught.lesson_id])


async def test_what_is_missed_no_longer_while_its_register_is_in_hand_is_looked_at_later(
    school: School, watch: Watch, hands: Hands, stack: Stack
) -> None:
    """Of a school that takes registers: its lessons of the past stay."""
    taught, other = await school.a_taught_class("Maths", ("1",)), await school.a_taught_class("Art", ("2",))
    hands.instant = at("08:05")
    await school.save_register(other, 0, {}, default_code="P")
    await watch.look("08:15")
    await school.tell_calendar(version=2, days=(SNOW,))
    hold = "SELECT FROM lesson WHERE id = %s FOR UPDATE"

    with psycopg.connect(stack.database_url("academic")) as saving:
        saving.execute("SELECT set_config('app.school_id', %s, true)", (str(school.id),))
        saving.execute(hold, (taught.lesson_id,))
        await watch.look("08:20")
        assert watch.taken_back(school) == []
        saving.rollback()

    await watch.look("09:30")
    assert watch.taken_back(school) == [taught.lesson_id]


async def test_it_is_listed_by_class_teacher_and_page(school: School, hands: Hands) -> None:
    one = await school.a_taught_class("One", ("1",))
    two = await school.a_taught_class("Two", ("2",))
    hands.instant = at("12:00")
    today = {"day": str(TODAY)}

    assert [each["class_title"] for each in await missing(school, **today)] == ["Two", "One"]
    assert [each["class_title"] for each in await missing(school, **today, class_id=str(one.class_id))] == ["One"]
    assert [each["class_title"] for each in await missing(school, **today, teacher_id=str(two.teacher_id))] == ["Two"]
    page = (await school.send("GET", "/missing-registers?limit=1")).json()
    seen: list[str] = []
    while True:
        seen += [each["lesson_id"] for each in page["items"]]
        if page["next"] is None:
            break
        headers = school.tokens.headers(Role.SCHOOL_ADMIN, school_id=school.id)
        page = (await school.client.get(page["next"], headers=headers)).json()
    assert len(seen) == len(set(seen)) == 14
    assert seen[:2] == [str(two.lesson_id), str(one.lesson_id)]


async def test_a_teacher_sees_their_own_only(school: School, hands: Hands) -> None:
    one = await school.a_taught_class("One", ("1",))
    two = await school.a_taught_class("Two", ("2",))
    hands.instant = at("12:00")

    own = await missing(school, Role.TEACHER, one.teacher_id, day=str(TODAY))
    others = await missing(school, Role.TEACHER, one.teacher_id, teacher_id=str(two.teacher_id))

    assert [each["class_title"] for each in own] == ["One"]
    assert others == []


async def test_what_has_not_begun_is_not_missing(school: School, hands: Hands) -> None:
    await school.a_taught_class(periods=("1", "2"))
    hands.instant = at("08:59")

    assert [each["period"] for each in await missing(school, day=str(TODAY))] == ["1"]
    later = await school.send("GET", f"/missing-registers?day={TODAY + timedelta(days=1)}")
    assert later.status_code == 400


async def test_the_list_is_for_the_office_and_teachers_of_the_school(
    school: School, other_school: School, hands: Hands
) -> None:
    await school.a_taught_class()
    hands.instant = at("12:00")

    for role in (Role.GUARDIAN, Role.STUDENT):
        assert (await school.send("GET", "/missing-registers", role=role, person_id=new_id())).status_code == 403
    assert (await school.client.get("/api/v1/missing-registers")).status_code == 401
    assert await missing(other_school) == []
    assert await missing(school, Role.TEACHER, new_id()) == []
