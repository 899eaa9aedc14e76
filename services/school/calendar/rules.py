"""What a calendar must be like."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Final, TypeVar

from msgspec import structs

from services.school.calendar.schemas import (
    GradeDay,
    NewBellPeriod,
    NewCalendarDay,
    NewGradeDay,
    NewSession,
    SpecialDay,
)
from services.school.rotations import rules as turns
from services.school.rotations.rules import Bells
from services.school.rotations.schemas import Rotation
from shared.contracts.school import AcademicSession, BellPeriod, DayPeriod
from shared.problems import Conflict, FieldError, Invalid

Day = TypeVar("Day", bound=SpecialDay)

MAX_SESSIONS: Final = 1000
LONGEST_SESSION: Final = timedelta(days=800)
"""A school year and as much again: sessions are walked day by day, here and where lessons are planned."""
MAX_CALENDAR_DAYS: Final = 2000
MAX_GRADE_DAYS: Final = 2000
SPREAD: Final[Mapping[str, int]] = {"school_year": 0, "term": 1, "grading_period": 2}
"""From the widest kind to the narrowest."""

WORTH_MEETING: Final = timedelta(minutes=20)
"""What must remain of a period that an early close or a late start cuts; with less, it is not held."""

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


class InvalidCalendarDay(Invalid):
    slug = "invalid-calendar-day"
    title = "The day cannot be as it is asked for"


class CalendarFull(Conflict):
    """Every change of a calendar is told as a whole; it must stay of a size that can be told."""

    slug = "calendar-full"
    title = "The calendar holds no more"


def require_space(count: int, most: int, *, more: int = 1) -> None:
    """Raises CalendarFull when there is no room for `more`."""
    if count + more > most:
        raise CalendarFull(f"There may be {most}.")


def require_fitting(session: AcademicSession, known: Sequence[AcademicSession]) -> None:
    """Between what it is part of and its own parts. Raises InvalidSession, naming each field that is wrong."""
    errors = wrong_length(session.starts_on, session.ends_on, place="")
    for each in known:
        if each.academic_session_id == session.parent_id:
            errors += outside(session.starts_on, session.ends_on, each.starts_on, each.ends_on, place="")
        elif each.parent_id == session.academic_session_id:
            errors += _left_out(each, session)
    if errors:
        raise InvalidSession(errors=errors)


def _left_out(part: AcademicSession, session: AcademicSession) -> list[FieldError]:
    errors: list[FieldError] = []
    if part.starts_on < session.starts_on:
        errors.append(FieldError("/starts_on", f"{part.title} in it starts on {part.starts_on}."))
    if part.ends_on > session.ends_on:
        errors.append(FieldError("/ends_on", f"{part.title} in it ends on {part.ends_on}."))
    return errors


def require_nested(new: NewSession, parent: AcademicSession | None) -> None:
    """Raises InvalidSession, naming each field that is wrong. `parent` is None where there is no such session."""
    errors = [*wrong_length(new.starts_on, new.ends_on, place=""), *_wrong_parent(new, parent)]
    if errors:
        raise InvalidSession(errors=errors)


def wrong_length(starts_on: date, ends_on: date, *, place: str) -> list[FieldError]:
    """What is wrong with how long a session lasts; `place` is its JSON pointer."""
    if ends_on < starts_on:
        return [FieldError(f"{place}/ends_on", "Ends before it starts.")]
    if ends_on - starts_on > LONGEST_SESSION:
        return [FieldError(f"{place}/ends_on", f"A session lasts {LONGEST_SESSION.days} days at the most.")]
    return []


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


def require_no_clash(periods: Sequence[BellPeriod], rotation: Rotation | None) -> None:
    """Raises InvalidBellSchedule for a schedule that leaves no room for what takes turns."""
    clashes = turns.clashes(rotation, periods) if rotation else []
    if clashes:
        errors = [FieldError("/periods", f"{each.pointer} of the rotation: {each.detail}") for each in clashes]
        raise InvalidBellSchedule(errors=errors)


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


def special_day(day: date, asked: NewCalendarDay, bells: Bells) -> SpecialDay:
    """The day as it is to be kept; its `periods` are those told, not those cut.

    Raises InvalidCalendarDay for what contradicts itself or leaves nothing to be held, InvalidBellSchedule.
    """
    if errors := _contradictions(asked):
        raise InvalidCalendarDay(errors=errors)
    periods = None if asked.periods is None else day_periods(day, asked)
    saved = SpecialDay(
        day=day,
        kind=asked.kind,
        title=asked.title,
        opens_at=asked.opens_at,
        closes_at=asked.closes_at,
        periods=periods,
    )
    if bells_of(saved, bells) == []:
        detail = f"No period of that {day:%A} would be held. Make it a holiday, or name its periods."
        raise InvalidCalendarDay(errors=[FieldError("/closes_at" if asked.opens_at is None else "/opens_at", detail)])
    return saved


def _contradictions(asked: NewCalendarDay) -> list[FieldError]:
    given = [name for name in ("periods", "opens_at", "closes_at") if getattr(asked, name) is not None]
    if asked.kind == "holiday":
        return [FieldError(f"/{name}", "A holiday has no bells.") for name in given]
    if asked.periods is not None and len(given) > 1:
        return [FieldError(f"/{name}", "The periods already say it.") for name in given[1:]]
    if asked.opens_at is not None and asked.closes_at is not None and asked.opens_at >= asked.closes_at:
        return [FieldError("/closes_at", "Must be later than it opens.")]
    return []


def day_periods(day: date, asked: NewCalendarDay) -> list[DayPeriod]:
    """The bells of one date, by the same rules as those of a week. Raises InvalidBellSchedule."""
    on_its_weekday = [
        NewBellPeriod(weekday=day.isoweekday(), period=each.period, starts_at=each.starts_at, ends_at=each.ends_at)
        for each in asked.periods or ()
    ]
    return [_of_the_day(each) for each in bell_periods(on_its_weekday)]


def grade_days(day: date, asked: Sequence[NewGradeDay], bells: Bells) -> list[GradeDay]:
    """The grade days of a date as they are to be kept, by their first grades.

    Raises InvalidCalendarDay for a grade that is in two of them too, InvalidBellSchedule.
    """
    if errors := _in_two_days(asked):
        raise InvalidCalendarDay(errors=errors)
    saved: list[GradeDay] = []
    for index, each in enumerate(asked):
        with _placed(f"/grade_days/{index}"):
            of_everybody = special_day(day, each, bells)
        saved.append(GradeDay(**structs.asdict(of_everybody), grades=sorted(each.grades)))
    return sorted(saved, key=lambda each: each.grades)


def _in_two_days(asked: Sequence[NewGradeDay]) -> list[FieldError]:
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, each in enumerate(asked):
        for place, grade in enumerate(each.grades):
            if grade in seen:
                errors.append(FieldError(f"/grade_days/{index}/grades/{place}", f"Grade {grade} has a day already."))
            seen.add(grade)
    return errors


@contextmanager
def _placed(place: str) -> Generator[None]:
    """What is wrong inside is wrong below `place`, a JSON pointer."""
    try:
        yield
    except Invalid as problem:
        errors = [FieldError(place + each.pointer, each.detail) for each in problem.errors]
        raise type(problem)(errors=errors) from None


def bells_of(day: SpecialDay, bells: Bells) -> list[DayPeriod] | None:
    """The bells as they ring on that day; None when they are those of its weekday in every week."""
    if day.periods is not None or day.kind == "holiday":
        return day.periods
    if day.opens_at is None and day.closes_at is None:
        return bells.on(day.day) if day.day in bells.turns else None
    return cut(bells.on(day.day), opens_at=day.opens_at or time.min, closes_at=day.closes_at or time.max)


def as_held(day: Day, bells: Bells) -> Day:
    return structs.replace(day, periods=bells_of(day, bells))


def days_told(held: Sequence[SpecialDay], bells: Bells) -> list[SpecialDay]:
    """To who need not know of turns, a day of a turn is a special day with its bells (ADR 0709); by date."""
    days = {day: _day_of_turn(day, turn.name, bells) for day, turn in bells.turns.items()}
    return sorted([*held, *(days[day] for day in days.keys() - {each.day for each in held})], key=lambda each: each.day)


def _day_of_turn(day: date, name: str, bells: Bells) -> SpecialDay:
    return SpecialDay(day=day, kind="special", title=name, periods=bells.on(day))


def cut(periods: Sequence[DayPeriod], *, opens_at: time, closes_at: time) -> list[DayPeriod]:
    """What is left of a day's periods between two times (ADR 0707).

    A period that lies inside stays as it is. One that is cut is held if at least WORTH_MEETING remains of it. All
    others fall away.
    """
    kept: list[DayPeriod] = []
    for each in periods:
        left = DayPeriod(
            period=each.period, starts_at=max(each.starts_at, opens_at), ends_at=min(each.ends_at, closes_at)
        )
        if left == each or _length(left) >= WORTH_MEETING:
            kept.append(left)
    return kept


def _length(period: DayPeriod) -> timedelta:
    """Negative for a period that lies outside."""
    return datetime.combine(date.min, period.ends_at) - datetime.combine(date.min, period.starts_at)


def _of_the_day(bell: BellPeriod) -> DayPeriod:
    return DayPeriod(period=bell.period, starts_at=bell.starts_at, ends_at=bell.ends_at)


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
