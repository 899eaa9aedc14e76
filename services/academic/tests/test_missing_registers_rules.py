"""When somebody hears of a missing register: pure, for any lessons, settings and instants."""

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.academic.missing_registers.rules import (
    LOOK_AHEAD,
    MAX_AGE,
    TRY_AGAIN,
    days_listed,
    due,
    due_at,
    look_again_at,
)
from services.academic.missing_registers.schemas import OpenLesson, Step, Times
from services.academic.timetable.rules import instant
from shared.ids import new_id
from shared.problems import BadRequest

NOW = datetime(2026, 11, 1, 15, tzinfo=UTC)
STEPS: tuple[Step, ...] = ("teacher", "office")

minutes = st.integers(0, 480)
times = st.builds(Times, reminder_minutes=minutes, escalation_minutes=minutes)
told = st.lists(st.sampled_from(STEPS), unique=True)


def a_lesson(starts_at: datetime, told: list[Step]) -> OpenLesson:
    return OpenLesson(
        lesson_id=new_id(),
        class_id=new_id(),
        class_title="Maths",
        day=starts_at.date(),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45),
        teacher_ids=[],
        told=told,
    )


lessons = st.lists(
    st.builds(
        a_lesson, st.integers(-60 * 60 * 14, 60 * 60).map(lambda seconds: NOW + timedelta(seconds=seconds)), told
    ),
    max_size=12,
)


@given(lessons, times)
def test_a_step_is_due_exactly_from_its_minute_on_until_it_is_told_or_too_old(
    lessons: list[OpenLesson], times: Times
) -> None:
    found = {(each.lesson.lesson_id, each.step) for each in due(lessons, times, now=NOW)}

    for lesson in lessons:
        for step, after in zip(STEPS, (times.reminder_minutes, times.escalation_minutes), strict=True):
            age = NOW - lesson.starts_at
            expected = after > 0 and timedelta(minutes=after) <= age < MAX_AGE and step not in lesson.told
            assert ((lesson.lesson_id, step) in found) is expected


@given(lessons, times)
def test_the_next_look_misses_nothing_and_never_spins(lessons: list[OpenLesson], times: Times) -> None:
    again = look_again_at(lessons, times, now=NOW)

    assert NOW + TRY_AGAIN <= again <= NOW + LOOK_AHEAD
    before = due(lessons, times, now=NOW)
    just_before = due(lessons, times, now=max(NOW, again - timedelta(microseconds=1)))
    fresh = {(each.lesson.lesson_id, each.step) for each in just_before} - {
        (each.lesson.lesson_id, each.step) for each in before
    }
    assert all(again - TRY_AGAIN <= NOW for _ in fresh)


@given(lessons, times)
def test_what_was_told_is_not_due_again(lessons: list[OpenLesson], times: Times) -> None:
    for each in due(lessons, times, now=NOW):
        after = msgspec.structs.replace(each.lesson, told=[*each.lesson.told, each.step])
        assert each.step not in [again.step for again in due([after], times, now=NOW)]


@given(lessons, times, st.integers(0, 600))
def test_once_due_it_stays_due_until_it_is_too_old(lessons: list[OpenLesson], times: Times, later: int) -> None:
    at = NOW + timedelta(minutes=later)
    found = {(each.lesson.lesson_id, each.step) for each in due(lessons, times, now=at)}

    for each in due(lessons, times, now=NOW):
        is_young = at - each.lesson.starts_at < MAX_AGE
        assert ((each.lesson.lesson_id, each.step) in found) is is_young


def test_never_is_never() -> None:
    never = Times(reminder_minutes=0, escalation_minutes=0)
    lesson = a_lesson(NOW - timedelta(hours=1), [])

    assert [due_at(lesson, step, never) for step in STEPS] == [None, None]
    assert due([lesson], never, now=NOW) == []


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1)], ids=["spring", "autumn"])
def test_minutes_are_minutes_on_the_days_when_clocks_change(day: date) -> None:
    """Half an hour after 01:45 local time: the clocks may say 03:15 or 01:15 again."""
    starts_at = instant(day, time(1, 45), "America/New_York")

    at = due_at(a_lesson(starts_at, []), "teacher", Times(reminder_minutes=30, escalation_minutes=60))

    assert at == starts_at + timedelta(minutes=30)


def test_a_list_is_of_one_day_or_the_last_seven() -> None:
    today = date(2026, 11, 1)

    assert days_listed(None, today=today) == (date(2026, 10, 26), today)
    assert days_listed(date(2020, 2, 29), today=today) == (date(2020, 2, 29), date(2020, 2, 29))
    with pytest.raises(BadRequest):
        days_listed(date(2026, 11, 2), today=today)
