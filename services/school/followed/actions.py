"""Keeping the read models of a school's day right, whatever the order in which events come."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.school.followed import forgetting, queries
from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    ClassChanged,
    GuardianLinkChanged,
    LessonsPlanned,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.communication import AnnouncementChanged, AnnouncementRead, AnnouncementSent
from shared.contracts.notification import DeliveryEnded
from shared.contracts.snapshots import AbsenceReportKept, AttendanceDayKept, ReceiptKept
from shared.database import Tx

KEPT: Final = timedelta(days=14)
"""Days before that are forgotten. A change of time zone moves today by one."""
ALERT: Final = "absence_alert"
STAFF: Final = frozenset({"school_admin", "teacher"})

Followed = (
    StudentChanged
    | TeacherChanged
    | ClassChanged
    | GuardianLinkChanged
    | AttendanceDayChanged
    | AttendanceDayKept
    | AbsenceReportChanged
    | AbsenceReportKept
    | LessonsPlanned
    | RegisterSaved
    | DeliveryEnded
    | AnnouncementSent
    | AnnouncementChanged
    | AnnouncementRead
    | ReceiptKept
)


async def follow(tx: Tx, school_id: UUID, event: Followed, *, version: int, since: datetime | None = None) -> None:
    """Save what is told, unless something newer is known. `since`: see `queries`."""
    match event:
        case ClassChanged():
            if await queries.save_class(tx, school_id=school_id, event=event, version=version, since=since):
                await queries.replace_members(tx, school_id=school_id, class_id=event.class_id, members=event.members)
        case LessonsPlanned():
            if await queries.save_plan(tx, school_id=school_id, day=event.day, version=version, since=since):
                await queries.replace_lessons(tx, school_id=school_id, day=event.day, lessons=event.lessons)
                await forgetting.forget_days(tx, school_id=school_id, before=event.day - KEPT)
        case DeliveryEnded():
            if event.category == ALERT and event.student_id is not None and event.day is not None:
                await queries.save(tx, school_id=school_id, event=event, version=version, since=since)
        case AnnouncementSent():
            staff = [each for each in event.recipients if each.role in STAFF]
            await queries.add_messages(tx, school_id=school_id, announcement_id=event.announcement_id, staff=staff)
        case AnnouncementRead():
            await queries.save(tx, school_id=school_id, event=event, version=event.edition, since=since)
        case _:
            await queries.save(tx, school_id=school_id, event=event, version=version, since=since)
