"""SQL over the read models of the school service."""

from collections.abc import Sequence
from datetime import date
from typing import LiteralString
from uuid import UUID

import msgspec

from services.academic.calendar.schemas import (
    Calendar,
    DayName,
    GradeDay,
    GradeDayName,
    KnownSchool,
    Session,
    SpecialDay,
)
from shared import clock
from shared.contracts import school as contracts
from shared.contracts.school import AcademicSession, BellPeriod, CalendarDay, DayPeriod, SchoolChanged
from shared.database import Reader, Tx

SCHOOL = """
SELECT name, time_zone, register_reminder_minutes, register_escalation_minutes
FROM school
WHERE school_id = %(school_id)s
"""


async def school(reader: Reader, *, school_id: UUID) -> KnownSchool | None:
    return await reader.one(KnownSchool, SCHOOL, school_id=school_id)


async def time_zone_of(reader: Reader, *, school_id: UUID) -> str:
    """The school's IANA zone; UTC for the moment between a school's making and the event that tells of it."""
    found = await school(reader, school_id=school_id)
    return found.time_zone if found else "UTC"


async def today(reader: Reader, *, school_id: UUID) -> date:
    """The calendar day that it is at the school."""
    return clock.school_day(clock.now(), await time_zone_of(reader, school_id=school_id))


SESSIONS = """
SELECT id, sourced_id, title, kind, starts_on, ends_on
FROM academic_session
WHERE school_id = %(school_id)s
ORDER BY starts_on, id
LIMIT 1000
"""


async def sessions(reader: Reader, *, school_id: UUID) -> list[Session]:
    return await reader.all(Session, SESSIONS, school_id=school_id)


BELL_PERIODS = """
SELECT period, weekday, starts_at, ends_at
FROM bell_period
WHERE school_id = %(school_id)s
ORDER BY weekday, starts_at
LIMIT 1000
"""


async def bell_periods(reader: Reader, *, school_id: UUID) -> list[BellPeriod]:
    return await reader.all(BellPeriod, BELL_PERIODS, school_id=school_id)


class SpecialDayRow(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    kind: str
    title: str
    periods: list[dict[str, str]] | None


CALENDAR_DAYS = """
SELECT day, kind, title, periods
FROM calendar_day
WHERE school_id = %(school_id)s
ORDER BY day
LIMIT 5000
"""


async def calendar_days(reader: Reader, *, school_id: UUID) -> list[SpecialDay]:
    rows = await reader.all(SpecialDayRow, CALENDAR_DAYS, school_id=school_id)
    return [
        SpecialDay(
            day=row.day,
            kind=row.kind,
            title=row.title,
            periods=msgspec.convert(row.periods, list[DayPeriod] | None),
        )
        for row in rows
    ]


class GradeDayRow(SpecialDayRow, frozen=True, kw_only=True):
    grade: str


GRADE_DAYS = """
SELECT day, grade, kind, title, periods
FROM grade_day
WHERE school_id = %(school_id)s
ORDER BY day, grade
LIMIT 100000
"""


async def grade_days(reader: Reader, *, school_id: UUID) -> list[GradeDay]:
    rows = await reader.all(GradeDayRow, GRADE_DAYS, school_id=school_id)
    return [
        GradeDay(
            day=row.day,
            grade=row.grade,
            kind=row.kind,
            title=row.title,
            periods=msgspec.convert(row.periods, list[DayPeriod] | None),
        )
        for row in rows
    ]


async def calendar(reader: Reader, *, school_id: UUID) -> Calendar:
    return Calendar(
        days=await calendar_days(reader, school_id=school_id), grade_days=await grade_days(reader, school_id=school_id)
    )


DAY_OF_LESSON: LiteralString = """
LEFT JOIN LATERAL (
    SELECT told.kind, told.title
    FROM (
        SELECT 1 AS place, min(grade_day.kind) AS kind, min(grade_day.title) AS title
        FROM grade_day
        WHERE grade_day.school_id = lesson.school_id
        AND grade_day.day = lesson.day
        AND grade_day.grade = ANY(school_class.grades)
        HAVING count(*) = cardinality(school_class.grades)
        AND count(DISTINCT (grade_day.kind, grade_day.periods)) = 1
        UNION ALL
        SELECT 2, calendar_day.kind, calendar_day.title
        FROM calendar_day
        WHERE calendar_day.school_id = lesson.school_id
        AND calendar_day.day = lesson.day
    ) AS told
    ORDER BY told.place
    LIMIT 1
) AS special_day ON true
"""
"""Joins what the calendar says of a lesson's day to its class, as `timetable.rules.day_of` does: null when nothing."""

NAME_OF_DAY = """
SELECT kind, title
FROM calendar_day
WHERE school_id = %(school_id)s
AND day = %(day)s
"""


async def name_of_day(reader: Reader, *, school_id: UUID, day: date) -> DayName | None:
    """What the calendar says of a day, if it says anything."""
    return await reader.one(DayName, NAME_OF_DAY, school_id=school_id, day=day)


GRADE_DAY_NAMES = """
SELECT grade, kind, title
FROM grade_day
WHERE school_id = %(school_id)s
AND day = %(day)s
ORDER BY grade
LIMIT 2500
"""


async def grade_day_names(reader: Reader, *, school_id: UUID, day: date) -> list[GradeDayName]:
    """What it says of a day to single grades."""
    return await reader.all(GradeDayName, GRADE_DAY_NAMES, school_id=school_id, day=day)


SAVE_SCHOOL = """
INSERT INTO school (
    school_id, name, time_zone, register_reminder_minutes, register_escalation_minutes, version
)
VALUES (
    %(school_id)s, %(name)s, %(time_zone)s, %(register_reminder_minutes)s, %(register_escalation_minutes)s,
    %(version)s
)
ON CONFLICT (school_id) DO UPDATE
SET name = excluded.name, time_zone = excluded.time_zone,
    register_reminder_minutes = excluded.register_reminder_minutes,
    register_escalation_minutes = excluded.register_escalation_minutes, version = excluded.version
WHERE school.version < excluded.version
"""


async def save_school(tx: Tx, *, school_id: UUID, school: SchoolChanged, version: int) -> bool:
    """Whether the school is news: False for what we know already, or know better."""
    saved = await tx.execute(
        SAVE_SCHOOL,
        school_id=school_id,
        name=school.name,
        time_zone=school.time_zone,
        register_reminder_minutes=school.register_reminder_minutes,
        register_escalation_minutes=school.register_escalation_minutes,
        version=version,
    )
    return saved == 1


# The calendar may come before the school itself; version 0 gives way to whatever is told of the school.
TAKE_CALENDAR_VERSION = """
INSERT INTO school (school_id, name, time_zone, version, calendar_version)
VALUES (%(school_id)s, '', 'UTC', 0, %(version)s)
ON CONFLICT (school_id) DO UPDATE
SET calendar_version = excluded.calendar_version
WHERE school.calendar_version < excluded.calendar_version
"""


async def take_calendar_version(tx: Tx, *, school_id: UUID, version: int) -> bool:
    """Whether the calendar of that version is news. Locks the school's row, so calendars are saved one at a time."""
    return await tx.execute(TAKE_CALENDAR_VERSION, school_id=school_id, version=version) == 1


FORGET_SESSIONS = "DELETE FROM academic_session WHERE school_id = %(school_id)s"
FORGET_BELL_PERIODS = "DELETE FROM bell_period WHERE school_id = %(school_id)s"
FORGET_CALENDAR_DAYS = "DELETE FROM calendar_day WHERE school_id = %(school_id)s"
FORGET_GRADE_DAYS = "DELETE FROM grade_day WHERE school_id = %(school_id)s"


async def forget_calendar(tx: Tx, *, school_id: UUID) -> None:
    await tx.execute(FORGET_SESSIONS, school_id=school_id)
    await tx.execute(FORGET_BELL_PERIODS, school_id=school_id)
    await tx.execute(FORGET_CALENDAR_DAYS, school_id=school_id)
    await tx.execute(FORGET_GRADE_DAYS, school_id=school_id)


ADD_SESSION = """
INSERT INTO academic_session (school_id, id, sourced_id, title, kind, starts_on, ends_on)
VALUES (%(school_id)s, %(id)s, %(sourced_id)s, %(title)s, %(kind)s, %(starts_on)s, %(ends_on)s)
"""


async def add_sessions(tx: Tx, *, school_id: UUID, sessions: Sequence[AcademicSession]) -> None:
    await tx.execute_many(
        ADD_SESSION,
        [
            {
                "school_id": school_id,
                "id": session.academic_session_id,
                "sourced_id": session.sourced_id,
                "title": session.title,
                "kind": session.kind,
                "starts_on": session.starts_on,
                "ends_on": session.ends_on,
            }
            for session in sessions
        ],
    )


ADD_BELL_PERIOD = """
INSERT INTO bell_period (school_id, weekday, period, starts_at, ends_at)
VALUES (%(school_id)s, %(weekday)s, %(period)s, %(starts_at)s, %(ends_at)s)
"""


async def add_bell_periods(tx: Tx, *, school_id: UUID, periods: Sequence[BellPeriod]) -> None:
    await tx.execute_many(
        ADD_BELL_PERIOD,
        [
            {
                "school_id": school_id,
                "weekday": bell.weekday,
                "period": bell.period,
                "starts_at": bell.starts_at,
                "ends_at": bell.ends_at,
            }
            for bell in periods
        ],
    )


ADD_CALENDAR_DAY = """
INSERT INTO calendar_day (school_id, day, kind, title, periods)
VALUES (%(school_id)s, %(day)s, %(kind)s, %(title)s, %(periods)s::jsonb)
"""


async def add_calendar_days(tx: Tx, *, school_id: UUID, days: Sequence[CalendarDay]) -> None:
    await tx.execute_many(
        ADD_CALENDAR_DAY,
        [
            {
                "school_id": school_id,
                "day": each.day,
                "kind": each.kind,
                "title": each.title,
                "periods": as_json(each.periods),
            }
            for each in days
        ],
    )


ADD_GRADE_DAY = """
INSERT INTO grade_day (school_id, day, grade, kind, title, periods)
SELECT %(school_id)s, %(day)s, grade, %(kind)s, %(title)s, %(periods)s::jsonb
FROM unnest(%(grades)s::text[]) AS of_day (grade)
"""


async def add_grade_days(tx: Tx, *, school_id: UUID, days: Sequence[contracts.GradeDay]) -> None:
    await tx.execute_many(
        ADD_GRADE_DAY,
        [
            {
                "school_id": school_id,
                "day": each.day,
                "grades": each.grades,
                "kind": each.kind,
                "title": each.title,
                "periods": as_json(each.periods),
            }
            for each in days
        ],
    )


def as_json(periods: Sequence[DayPeriod] | None) -> str | None:
    return None if periods is None else msgspec.json.encode(periods).decode()
