"""When somebody hears of a register that is missing. Pure: lessons are instants, so clocks may change as they like."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

from services.academic.missing_registers.schemas import DueLesson, OpenLesson, Step, Times
from shared.problems import BadRequest, FieldError

MAX_AGE: Final = timedelta(hours=12)
"""A lesson that began longer ago is told of to nobody: after an outage, what is of yesterday stands in the list."""
LOOK_AHEAD: Final = timedelta(hours=1)
"""A school is looked at at least this often, whatever was noted for it."""
TRY_AGAIN: Final = timedelta(seconds=5)
"""When a lesson is due and in somebody else's hands, such as a register that is just being saved."""
LIST_DAYS: Final = 7
TAKEN_BACK_FOR: Final = timedelta(days=LIST_DAYS)
"""So long after it was told, what is missing no longer is taken back."""


def due_at(lesson: OpenLesson, step: Step, times: Times) -> datetime | None:
    """When a step is to be told; None for never."""
    minutes = times.reminder_minutes if step == "teacher" else times.escalation_minutes
    return lesson.starts_at + timedelta(minutes=minutes) if minutes else None


def due(lessons: Iterable[OpenLesson], times: Times, *, now: datetime) -> list[DueLesson]:
    """What is to be told now, and was not; the teacher's step comes before the office's."""
    return [DueLesson(lesson=lesson, step=step) for lesson, step, at in _waiting(lessons, times, now=now) if at <= now]


def look_again_at(lessons: Iterable[OpenLesson], times: Times, *, now: datetime) -> datetime:
    """When the next step falls due, an hour from now at the latest."""
    waiting = [max(at, now + TRY_AGAIN) for _, _, at in _waiting(lessons, times, now=now)]
    return min([*waiting, now + LOOK_AHEAD])


def _waiting(
    lessons: Iterable[OpenLesson], times: Times, *, now: datetime
) -> Iterator[tuple[OpenLesson, Step, datetime]]:
    steps: tuple[Step, ...] = ("teacher", "office")
    for lesson in lessons:
        if now - lesson.starts_at >= MAX_AGE:
            continue
        for step in steps:
            at = due_at(lesson, step, times)
            if at is not None and step not in lesson.told:
                yield lesson, step, at


def days_listed(day: date | None, *, today: date) -> tuple[date, date]:
    """One day, or the last seven. Raises BadRequest for a day to come."""
    if day is None:
        return today - timedelta(days=LIST_DAYS - 1), today
    if day > today:
        detail = f"It is {today} at the school; no register of a later day can be missing."
        raise BadRequest(detail, errors=[FieldError("query/day", detail)])
    return day, day
