"""The read models of a day come out right, in whatever order and however often events are heard."""

from datetime import date
from typing import Any

import msgspec
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.school.tests.days import (
    SchoolDay,
    a_class,
    announced,
    lesson,
    link,
    mail,
    marked,
    member,
    plan,
    read,
    report,
    saved,
    sent,
    student,
    teacher,
)
from services.school.tests.factories import House
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.testing.stack import Stack
from shared.worker import Worker

KINDS = 16
STATES = 3


class Story:
    """Every kind of event in three states; what counts is the last."""

    def __init__(self, day: SchoolDay) -> None:
        self.day = day
        ada, ben, self.tess, self.anne, class_id = (new_id() for _ in range(5))
        link_id, report_id, mail_id, snow, trip = (new_id() for _ in range(5))
        now = [lesson(class_id, self.tess), lesson(class_id, self.tess, begins_in=60)]
        today = day.today
        self.states: list[list[msgspec.Struct]] = [
            [student(ada, f"Ada {state}", is_active=state != 1) for state in range(STATES)],
            [student(ben, "Ben", is_active=state == 2) for state in range(STATES)],
            [teacher(self.tess, is_active=state != 0) for state in range(STATES)],
            [a_class(class_id, *[member(ada), member(ben)][: state or None]) for state in range(STATES)],
            [link(self.anne, ada, link_id=link_id, may_see=state == 2) for state in range(STATES)],
            [plan(today, *now[:state]) for state in range(STATES)],
            [saved(today, now[0].lesson_id, present=state) for state in range(STATES)],
            [marked(today, ada, status) for status in ("unmarked", "absent", "late")],
            [
                report(ada, today, today, absence_report_id=report_id, state=state)
                for state in ("pending", "refused", "accepted")
            ],
            [mail(today, ada, self.anne, state, delivery_id=mail_id) for state in ("sent", "cancelled", "failed")],
            [sent(snow, (Role.TEACHER, self.tess), edition=state + 1) for state in range(STATES)],
            [announced(snow, edition=state + 1, is_withdrawn=state == 1) for state in range(STATES)],
            [read(snow, self.tess, edition=edition) for edition in (1, 2, 2)],
            [sent(trip, (Role.TEACHER, self.tess)) for _ in range(STATES)],
            [announced(trip, edition=state + 1) for state in range(STATES)],
            [read(trip, self.tess, edition=state + 1) for state in range(STATES)],
        ]

    @property
    def all(self) -> list[tuple[msgspec.Struct, int]]:
        return [(event, version + 1) for each in self.states for version, event in enumerate(each)]

    @property
    def last(self) -> list[tuple[msgspec.Struct, int]]:
        return [(each[-1], STATES) for each in self.states]

    async def shown(self, day: SchoolDay) -> Any:
        return [
            await day.shown(Role.SCHOOL_ADMIN),
            await day.shown(Role.TEACHER, self.tess),
            await day.shown(Role.GUARDIAN, self.anne),
        ]


deliveries = st.permutations(range(KINDS * STATES)).flatmap(
    lambda order: st.lists(st.sampled_from(order), max_size=10).map(lambda repeats: [*order, *repeats])
)


@given(order=deliveries)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_and_number_of_events_ends_in_the_last_state(
    house: House, worker: Worker, order: list[int]
) -> None:
    story = Story(SchoolDay(await house.school(), worker))
    in_order = SchoolDay(await house.school(), worker)
    for event, version in story.last:
        await in_order.hear(event, version=version)

    for number in order:
        event, version = story.all[number]
        await story.day.hear(event, version=version)

    shown = await story.shown(story.day)
    assert shown == await story.shown(in_order)
    assert [each["given_name"] for each in shown[2]["students"]] == ["Ada 2"]
    assert shown[1]["unread_messages"] == 1


async def test_the_same_delivery_again_changes_nothing(day: SchoolDay) -> None:
    ada, event_id = new_id(), new_id()

    for name in ("Ada", "Someone else"):
        await deliver(day.worker, student(ada, name), school_id=day.school_id, event_id=event_id)

    assert [each["given_name"] for each in (await day.shown(Role.STUDENT, ada))["students"]] == ["Ada"]


async def test_days_that_are_long_over_are_forgotten(day: SchoolDay, stack: Stack) -> None:
    long_ago, recently = day.after(-40), day.after(-10)
    for past in (long_ago, recently):
        await day.hear(marked(past, new_id(), "absent"), saved(past, new_id()), plan(past, lesson(new_id())))
        await day.hear(mail(past, new_id(), None, "failed"), report(new_id(), past, past))

    await day.hear(plan(day.today))

    days = {table: days_in(stack, day, table, column) for table, column in DATED.items()}
    assert days == {table: {recently} for table in DATED} | {"today_plan": {recently, day.today}}


DATED = {
    "today_plan": "day",
    "today_lesson": "day",
    "today_register": "day",
    "today_attendance_day": "day",
    "today_delivery": "day",
    "today_absence_report": "ends_on",
}


def days_in(stack: Stack, day: SchoolDay, table: str, column: str) -> set[date]:
    with psycopg.connect(stack.admin_url) as connection:
        rows = connection.execute(f"SELECT {column} FROM school.{table} WHERE school_id = %s", (day.school_id,))  # pyright: ignore[reportArgumentType, reportCallIssue]
        return {each for (each,) in rows}
