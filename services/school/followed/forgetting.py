"""SQL that takes rows out of the read models: days that are over, and what a rebuild did not find."""

from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from shared.database import Tx

PAST_PLANS = "DELETE FROM today_plan WHERE school_id = %(school_id)s AND day < %(before)s"
PAST_REGISTERS = "DELETE FROM today_register WHERE school_id = %(school_id)s AND day < %(before)s"
PAST_ATTENDANCE = "DELETE FROM today_attendance_day WHERE school_id = %(school_id)s AND day < %(before)s"
PAST_DELIVERIES = "DELETE FROM today_delivery WHERE school_id = %(school_id)s AND day < %(before)s"
PAST_REPORTS = "DELETE FROM today_absence_report WHERE school_id = %(school_id)s AND ends_on < %(before)s"


async def forget_days(tx: Tx, *, school_id: UUID, before: date) -> None:
    """Days that nobody is shown any more; a plan takes its lessons with it."""
    for statement in (PAST_PLANS, PAST_REGISTERS, PAST_ATTENDANCE, PAST_DELIVERIES, PAST_REPORTS):
        await tx.execute(statement, school_id=school_id, before=before)


# What was neither found in the snapshots nor told by an event since the rebuild began.
LOST_STUDENTS = "DELETE FROM today_student WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_TEACHERS = "DELETE FROM today_teacher WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_CLASSES = "DELETE FROM today_class WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_LINKS = "DELETE FROM today_guardian_link WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_ATTENDANCE = "DELETE FROM today_attendance_day WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_REPORTS = "DELETE FROM today_absence_report WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_PLANS = "DELETE FROM today_plan WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_REGISTERS = "DELETE FROM today_register WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_DELIVERIES = "DELETE FROM today_delivery WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_ANNOUNCEMENTS = "DELETE FROM today_announcement WHERE school_id = %(school_id)s AND touched_at < %(since)s"
LOST_MESSAGES = "DELETE FROM today_message WHERE school_id = %(school_id)s AND touched_at < %(since)s"

LOST: tuple[LiteralString, ...] = (
    LOST_STUDENTS,
    LOST_TEACHERS,
    LOST_CLASSES,
    LOST_LINKS,
    LOST_ATTENDANCE,
    LOST_REPORTS,
    LOST_PLANS,
    LOST_REGISTERS,
    LOST_DELIVERIES,
    LOST_ANNOUNCEMENTS,
    LOST_MESSAGES,
)


async def forget_lost(tx: Tx, *, school_id: UUID, since: datetime) -> int:
    """How many rows there were that their owner does not have."""
    return sum([await tx.execute(statement, school_id=school_id, since=since) for statement in LOST])


NOW = "SELECT clock_timestamp()"


async def database_time(tx: Tx) -> datetime:
    """By the clock that `touched_at` is written with."""
    found = await tx.value(datetime, NOW)
    assert found is not None
    return found
