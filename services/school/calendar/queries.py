"""SQL over the calendar of one school. Its version is in the school's own row."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, time
from itertools import groupby
from typing import Literal
from uuid import UUID

import msgspec

from services.school.calendar.rules import as_held, days_told
from services.school.calendar.schemas import GradeDay, GradeDays, SessionKey, SpecialDay
from services.school.rotations import queries as rotations
from services.school.rotations.rules import Bells
from shared.contracts import school as contracts
from shared.contracts.school import AcademicSession, BellPeriod, CalendarChanged, CalendarDay, DayPeriod
from shared.database import Reader, Tx

ALL_SESSIONS = """
SELECT academic_session_id, sourced_id, title, kind, starts_on, ends_on, parent_id
FROM academic_session
WHERE school_id = %(school_id)s
ORDER BY starts_on, academic_session_id
LIMIT 10000
"""


async def all_sessions(reader: Reader, *, school_id: UUID) -> list[AcademicSession]:
    return await reader.all(AcademicSession, ALL_SESSIONS, school_id=school_id)


SESSIONS = """
SELECT academic_session_id, sourced_id, title, kind, starts_on, ends_on, parent_id
FROM academic_session
WHERE school_id = %(school_id)s
AND (starts_on, academic_session_id) > (%(starts_on)s, %(after_id)s)
ORDER BY starts_on, academic_session_id
LIMIT %(limit)s
"""


async def sessions(reader: Reader, *, school_id: UUID, after: SessionKey, limit: int) -> list[AcademicSession]:
    return await reader.all(
        AcademicSession,
        SESSIONS,
        school_id=school_id,
        starts_on=after.starts_on,
        after_id=after.academic_session_id,
        limit=limit,
    )


SAVE_SESSION = """
INSERT INTO academic_session (
    school_id, academic_session_id, sourced_id, title, kind, starts_on, ends_on, parent_id
)
VALUES (
    %(school_id)s, %(academic_session_id)s, %(sourced_id)s, %(title)s, %(kind)s, %(starts_on)s, %(ends_on)s,
    %(parent_id)s
)
ON CONFLICT (school_id, academic_session_id) DO UPDATE
SET title = excluded.title, kind = excluded.kind, starts_on = excluded.starts_on, ends_on = excluded.ends_on,
    parent_id = excluded.parent_id
"""


async def save_sessions(tx: Tx, *, school_id: UUID, sessions: Sequence[AcademicSession]) -> None:
    """Add or change them; a parent comes before its parts."""
    await tx.execute_many(SAVE_SESSION, [{"school_id": school_id, **msgspec.structs.asdict(each)} for each in sessions])


BELL_PERIODS = """
SELECT weekday, period, starts_at, ends_at
FROM bell_period
WHERE school_id = %(school_id)s
ORDER BY weekday, starts_at
LIMIT 1000
"""


async def bell_periods(reader: Reader, *, school_id: UUID) -> list[BellPeriod]:
    return await reader.all(BellPeriod, BELL_PERIODS, school_id=school_id)


async def usual_bells(reader: Reader, *, school_id: UUID) -> Bells:
    """What rings when nothing else is said of a day."""
    return await rotations.bells(reader, await bell_periods(reader, school_id=school_id), school_id=school_id)


FORGET_BELL_PERIODS = """
DELETE FROM bell_period
WHERE school_id = %(school_id)s
"""


async def forget_bell_periods(tx: Tx, *, school_id: UUID) -> None:
    await tx.execute(FORGET_BELL_PERIODS, school_id=school_id)


ADD_BELL_PERIOD = """
INSERT INTO bell_period (school_id, weekday, period, starts_at, ends_at)
VALUES (%(school_id)s, %(weekday)s, %(period)s, %(starts_at)s, %(ends_at)s)
"""


async def add_bell_periods(tx: Tx, *, school_id: UUID, periods: Sequence[BellPeriod]) -> None:
    await tx.execute_many(
        ADD_BELL_PERIOD, [{"school_id": school_id, **msgspec.structs.asdict(each)} for each in periods]
    )


class PeriodOfDay(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    period: str
    starts_at: time
    ends_at: time


CALENDAR_DAYS = """
SELECT day, kind, title, opens_at, closes_at
FROM calendar_day
WHERE school_id = %(school_id)s
AND day > %(after)s
AND (%(first)s::date IS NULL OR day >= %(first)s)
AND (%(last)s::date IS NULL OR day <= %(last)s)
ORDER BY day
LIMIT %(limit)s
"""

PERIODS_OF_DAYS = """
SELECT day, period, starts_at, ends_at
FROM calendar_day_period
WHERE school_id = %(school_id)s
AND day = ANY(%(days)s)
ORDER BY day, starts_at
LIMIT 100000
"""


async def kept_days(
    reader: Reader,
    *,
    school_id: UUID,
    first: date | None = None,
    last: date | None = None,
    after: date = date.min,
    limit: int = 10_000,
) -> list[SpecialDay]:
    """The days as they were asked for: `periods` are those that were told, not those that follow from a cut."""
    days = await reader.all(
        SpecialDay, CALENDAR_DAYS, school_id=school_id, first=first, last=last, after=after, limit=limit
    )
    periods: defaultdict[date, list[DayPeriod]] = defaultdict(list)
    for row in await reader.all(PeriodOfDay, PERIODS_OF_DAYS, school_id=school_id, days=[each.day for each in days]):
        periods[row.day].append(DayPeriod(period=row.period, starts_at=row.starts_at, ends_at=row.ends_at))
    return [msgspec.structs.replace(each, periods=periods.get(each.day)) for each in days]


async def calendar_days(
    reader: Reader, *, school_id: UUID, first: date | None, last: date | None, after: date, limit: int
) -> list[SpecialDay]:
    """The days as they are held."""
    days = await kept_days(reader, school_id=school_id, first=first, last=last, after=after, limit=limit)
    bells = await usual_bells(reader, school_id=school_id)
    return [as_held(each, bells) for each in days]


SAVE_CALENDAR_DAY = """
INSERT INTO calendar_day (school_id, day, kind, title, opens_at, closes_at)
VALUES (%(school_id)s, %(day)s, %(kind)s, %(title)s, %(opens_at)s, %(closes_at)s)
ON CONFLICT (school_id, day) DO UPDATE
SET kind = excluded.kind, title = excluded.title, opens_at = excluded.opens_at, closes_at = excluded.closes_at
"""

FORGET_DAY_PERIODS = """
DELETE FROM calendar_day_period
WHERE school_id = %(school_id)s
AND day = %(day)s
"""

ADD_DAY_PERIOD = """
INSERT INTO calendar_day_period (school_id, day, period, starts_at, ends_at)
VALUES (%(school_id)s, %(day)s, %(period)s, %(starts_at)s, %(ends_at)s)
"""


async def save_calendar_day(tx: Tx, *, school_id: UUID, day: SpecialDay) -> None:
    await tx.execute(
        SAVE_CALENDAR_DAY,
        school_id=school_id,
        day=day.day,
        kind=day.kind,
        title=day.title,
        opens_at=day.opens_at,
        closes_at=day.closes_at,
    )
    await tx.execute(FORGET_DAY_PERIODS, school_id=school_id, day=day.day)
    await tx.execute_many(
        ADD_DAY_PERIOD,
        [{"school_id": school_id, "day": day.day, **msgspec.structs.asdict(each)} for each in day.periods or ()],
    )


FORGET_CALENDAR_DAY = """
DELETE FROM calendar_day
WHERE school_id = %(school_id)s
AND day = %(day)s
"""


async def forget_calendar_day(tx: Tx, *, school_id: UUID, day: date) -> bool:
    """Whether there was one."""
    return await tx.execute(FORGET_CALENDAR_DAY, school_id=school_id, day=day) == 1


class GradeDayRow(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    number: int
    kind: Literal["holiday", "special"]
    title: str
    opens_at: time | None
    closes_at: time | None
    grades: list[str]


# Whole dates: the limit counts them, not their days. Uses grade_day_pkey.
GRADE_DAYS = """
SELECT grade_day.day, grade_day.number, grade_day.kind, grade_day.title, grade_day.opens_at, grade_day.closes_at,
       array(
           SELECT grade_day_grade.grade
           FROM grade_day_grade
           WHERE grade_day_grade.school_id = grade_day.school_id
           AND grade_day_grade.day = grade_day.day
           AND grade_day_grade.number = grade_day.number
           ORDER BY grade_day_grade.grade COLLATE "C"
       ) AS grades
FROM grade_day
WHERE grade_day.school_id = %(school_id)s
AND grade_day.day IN (
    SELECT of_date.day
    FROM grade_day AS of_date
    WHERE of_date.school_id = %(school_id)s
    AND of_date.number = 0
    AND of_date.day > %(after)s
    AND (%(first)s::date IS NULL OR of_date.day >= %(first)s)
    AND (%(last)s::date IS NULL OR of_date.day <= %(last)s)
    ORDER BY of_date.day
    LIMIT %(limit)s
)
ORDER BY grade_day.day, grade_day.number
LIMIT 10000
"""

PERIODS_OF_GRADE_DAYS = """
SELECT day, number, period, starts_at, ends_at
FROM grade_day_period
WHERE school_id = %(school_id)s
AND day = ANY(%(days)s)
ORDER BY day, number, starts_at
LIMIT 100000
"""


class PeriodOfGradeDay(PeriodOfDay, frozen=True, kw_only=True):
    number: int


async def kept_grade_days(
    reader: Reader,
    *,
    school_id: UUID,
    first: date | None = None,
    last: date | None = None,
    after: date = date.min,
    limit: int = 10_000,
) -> list[GradeDay]:
    """As `kept_days`, for so many dates."""
    rows = await reader.all(
        GradeDayRow, GRADE_DAYS, school_id=school_id, first=first, last=last, after=after, limit=limit
    )
    days = sorted({each.day for each in rows})
    periods: defaultdict[tuple[date, int], list[DayPeriod]] = defaultdict(list)
    for row in await reader.all(PeriodOfGradeDay, PERIODS_OF_GRADE_DAYS, school_id=school_id, days=days):
        periods[row.day, row.number].append(DayPeriod(period=row.period, starts_at=row.starts_at, ends_at=row.ends_at))
    return [
        GradeDay(
            day=row.day,
            kind=row.kind,
            title=row.title,
            opens_at=row.opens_at,
            closes_at=row.closes_at,
            periods=periods.get((row.day, row.number)),
            grades=row.grades,
        )
        for row in rows
    ]


async def grade_days(
    reader: Reader, *, school_id: UUID, first: date | None, last: date | None, after: date, limit: int
) -> list[GradeDays]:
    """The days as they are held, for so many dates."""
    days = await kept_grade_days(reader, school_id=school_id, first=first, last=last, after=after, limit=limit)
    bells = await usual_bells(reader, school_id=school_id)
    return [
        GradeDays(day=day, grade_days=[as_held(each, bells) for each in of_date])
        for day, of_date in groupby(days, key=lambda each: each.day)
    ]


ADD_GRADE_DAY = """
INSERT INTO grade_day (school_id, day, number, kind, title, opens_at, closes_at)
VALUES (%(school_id)s, %(day)s, %(number)s, %(kind)s, %(title)s, %(opens_at)s, %(closes_at)s)
"""

ADD_GRADE = """
INSERT INTO grade_day_grade (school_id, day, number, grade)
VALUES (%(school_id)s, %(day)s, %(number)s, %(grade)s)
"""

ADD_GRADE_DAY_PERIOD = """
INSERT INTO grade_day_period (school_id, day, number, period, starts_at, ends_at)
VALUES (%(school_id)s, %(day)s, %(number)s, %(period)s, %(starts_at)s, %(ends_at)s)
"""


async def add_grade_days(tx: Tx, *, school_id: UUID, day: date, grade_days: Sequence[GradeDay]) -> None:
    """All of a date, in their order."""
    for number, each in enumerate(grade_days):
        own = {"school_id": school_id, "day": day, "number": number}
        await tx.execute(
            ADD_GRADE_DAY, **own, kind=each.kind, title=each.title, opens_at=each.opens_at, closes_at=each.closes_at
        )
        await tx.execute_many(ADD_GRADE, [{**own, "grade": grade} for grade in each.grades])
        await tx.execute_many(
            ADD_GRADE_DAY_PERIOD, [{**own, **msgspec.structs.asdict(period)} for period in each.periods or ()]
        )


FORGET_GRADE_DAYS = """
DELETE FROM grade_day
WHERE school_id = %(school_id)s
AND day = %(day)s
"""


async def forget_grade_days(tx: Tx, *, school_id: UUID, day: date) -> bool:
    """Those of a date, with their grades and periods. Whether there were any."""
    return await tx.execute(FORGET_GRADE_DAYS, school_id=school_id, day=day) > 0


async def calendar(reader: Reader, *, school_id: UUID) -> CalendarChanged:
    """The whole of it, as it is told."""
    bells = await usual_bells(reader, school_id=school_id)
    of_grades = [as_held(each, bells) for each in await kept_grade_days(reader, school_id=school_id)]
    held = [as_held(each, bells) for each in await kept_days(reader, school_id=school_id)]
    return CalendarChanged(
        school_id=school_id,
        academic_sessions=await all_sessions(reader, school_id=school_id),
        bell_periods=list(bells.week),
        calendar_days=[
            CalendarDay(day=each.day, kind=each.kind, title=each.title, periods=each.periods)
            for each in days_told(held, bells)
        ],
        grade_days=[
            contracts.GradeDay(day=each.day, grades=each.grades, kind=each.kind, title=each.title, periods=each.periods)
            for each in of_grades
        ],
    )
