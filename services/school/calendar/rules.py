"""What a calendar must be like."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Final

from services.school.calendar.schemas import NewBellPeriod, NewSession
from shared.contracts.school import AcademicSession, BellPeriod
from shared.problems import Conflict, FieldError, Invalid

MAX_SESSIONS: Final = 1000
MAX_CALENDAR_DAYS: Final = 2000
SPREAD: Final[Mapping[str, int]] = {"school_year": 0, "term": 1, "grading_period": 2}
"""From the widest kind to the narrowest."""

SCHOOL_DAYS: Final = range(1, 6)
PERIODS: Final = 8
FIRST_BELL: Final = time(8, 30)
LESSON: Final = timedelta(minutes=45)
BREAK: Final = timedelta(minutes=5)
LUNCH: Final = timedelta(minutes=45)
LUNCH_AFTER: Final = 4


class InvalidSession(Invalid):
    slug = "invalid-academic-session"
    title = "The session does not fit into the school's year"


class InvalidBellSchedule(Invalid):
    slug = "invalid-bell-schedule"
    title = "The periods do not make a bell schedule"


class CalendarFull(Conflict):
    """Every change of a calendar is told as a whole; it must stay of a size that can be told."""

    slug = "calendar-full"
    title = "The calendar holds no more"


def require_space(count: int, most: int) -> None:
    """Raises CalendarFull."""
    if count >= most:
        raise CalendarFull(f"There may be {most}.")


def require_nested(new: NewSession, parent: AcademicSession | None) -> None:
    """Raises InvalidSession, naming each field that is wrong. `parent` is None where there is no such session."""
    errors = [*_wrong_dates(new.starts_on, new.ends_on), *_wrong_parent(new, parent)]
    if errors:
        raise InvalidSession(errors=errors)


def _wrong_dates(starts_on: date, ends_on: date) -> list[FieldError]:
    return [FieldError("/ends_on", "Ends before it starts.")] if ends_on < starts_on else []


def _wrong_parent(new: NewSession, parent: AcademicSession | None) -> list[FieldError]:
    if new.kind == "school_year":
        return [FieldError("/parent_id", "A school year has no parent.")] if new.parent_id else []
    if new.parent_id is None:
        return [FieldError("/parent_id", "Name the session that this one is part of.")]
    if parent is None:
        return [FieldError("/parent_id", "The school has no such session.")]
    if SPREAD[parent.kind] >= SPREAD[new.kind]:
        return [FieldError("/parent_id", f"A {parent.kind} has no {new.kind}.")]
    return outside(new.starts_on, new.ends_on, parent.starts_on, parent.ends_on, place="")


def outside(
    starts_on: date, ends_on: date, parent_starts_on: date, parent_ends_on: date, *, place: str
) -> list[FieldError]:
    """Which ends of a session stick out of its parent; `place` is the session's JSON pointer."""
    errors: list[FieldError] = []
    if starts_on < parent_starts_on:
        errors.append(FieldError(f"{place}/starts_on", f"The parent starts on {parent_starts_on}."))
    if ends_on > parent_ends_on:
        errors.append(FieldError(f"{place}/ends_on", f"The parent ends on {parent_ends_on}."))
    return errors


def bell_periods(asked: Sequence[NewBellPeriod]) -> list[BellPeriod]:
    """The schedule in order. Raises InvalidBellSchedule, naming each period that is wrong."""
    errors = [*_ending_early(asked), *_twice(asked), *_overlapping(asked)]
    if errors:
        raise InvalidBellSchedule(errors=errors)
    periods = [
        BellPeriod(period=each.period, weekday=each.weekday, starts_at=each.starts_at, ends_at=each.ends_at)
        for each in asked
    ]
    return sorted(periods, key=lambda each: (each.weekday, each.starts_at))


def _ending_early(asked: Sequence[NewBellPeriod]) -> list[FieldError]:
    return [
        FieldError(f"/periods/{index}/ends_at", "Must be later than it starts.")
        for index, each in enumerate(asked)
        if each.ends_at <= each.starts_at
    ]


def _twice(asked: Sequence[NewBellPeriod]) -> list[FieldError]:
    seen: set[tuple[int, str]] = set()
    errors: list[FieldError] = []
    for index, each in enumerate(asked):
        if (each.weekday, each.period) in seen:
            errors.append(FieldError(f"/periods/{index}/period", f"Period {each.period} is on this weekday twice."))
        seen.add((each.weekday, each.period))
    return errors


def _overlapping(asked: Sequence[NewBellPeriod]) -> list[FieldError]:
    """Each period that begins before an earlier one of its weekday ends."""
    in_order = sorted(enumerate(asked), key=lambda item: (item[1].weekday, item[1].starts_at, item[0]))
    errors: list[FieldError] = []
    for _, same_day in groupby(in_order, key=lambda item: item[1].weekday):
        latest: NewBellPeriod | None = None
        for index, each in same_day:
            if latest is not None and each.starts_at < latest.ends_at:
                errors.append(FieldError(f"/periods/{index}/starts_at", f"Overlaps period {latest.period}."))
            if latest is None or each.ends_at > latest.ends_at:
                latest = each
    return errors


def default_bell_periods() -> list[BellPeriod]:
    """What a new school starts with: Monday to Friday alike, eight periods, lunch in the middle."""
    times: list[tuple[str, time, time]] = []
    starts = datetime.combine(date.min, FIRST_BELL)
    for number in range(1, PERIODS + 1):
        times.append((str(number), starts.time(), (starts + LESSON).time()))
        starts += LESSON + (LUNCH if number == LUNCH_AFTER else BREAK)
    return [
        BellPeriod(period=period, weekday=weekday, starts_at=starts_at, ends_at=ends_at)
        for weekday in SCHOOL_DAYS
        for period, starts_at, ends_at in times
    ]
