"""Read models of what others tell: each row holds the highest version seen, so repeats and stale events change nothing.

`since` is the beginning of a rebuild, for what comes out of a snapshot: it also wins over the same version, which says
the same, and over whatever was there before the rebuild began. None for an event.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    ClassChanged,
    ClassMember,
    GuardianLinkChanged,
    LessonOfDay,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.communication import AnnouncementChanged, AnnouncementRead, AnnouncementRecipient
from shared.contracts.notification import DeliveryEnded
from shared.contracts.snapshots import AbsenceReportKept, AttendanceDayKept, ReceiptKept
from shared.database import Tx

IF_NEWS: Final = """
WHERE excluded.version > kept.version
OR (%(since)s::timestamptz IS NOT NULL AND (excluded.version = kept.version OR kept.touched_at < %(since)s))
"""

SAVE_STUDENT = (
    """
INSERT INTO today_student AS kept (
    school_id, student_id, given_name, family_name, is_active, version, touched_at
)
VALUES (
    %(school_id)s, %(student_id)s, %(given_name)s, %(family_name)s, %(is_active)s, %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, student_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, is_active = excluded.is_active,
    version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_TEACHER = (
    """
INSERT INTO today_teacher AS kept (school_id, teacher_id, is_active, version, touched_at)
VALUES (%(school_id)s, %(teacher_id)s, %(is_active)s, %(version)s, clock_timestamp())
ON CONFLICT (school_id, teacher_id) DO UPDATE
SET is_active = excluded.is_active, version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_CLASS = (
    """
INSERT INTO today_class AS kept (school_id, class_id, title, is_active, version, touched_at)
VALUES (%(school_id)s, %(class_id)s, %(title)s, %(is_active)s, %(version)s, clock_timestamp())
ON CONFLICT (school_id, class_id) DO UPDATE
SET title = excluded.title, is_active = excluded.is_active, version = excluded.version,
    touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_GUARDIAN_LINK = (
    """
INSERT INTO today_guardian_link AS kept (
    school_id, guardian_link_id, guardian_id, student_id, may_see, starts_on, ends_on, is_active, version, touched_at
)
VALUES (
    %(school_id)s, %(guardian_link_id)s, %(guardian_id)s, %(student_id)s, %(may_see)s, %(starts_on)s, %(ends_on)s,
    %(is_active)s, %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, guardian_link_id) DO UPDATE
SET guardian_id = excluded.guardian_id, student_id = excluded.student_id, may_see = excluded.may_see,
    starts_on = excluded.starts_on, ends_on = excluded.ends_on, is_active = excluded.is_active,
    version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_ATTENDANCE_DAY = (
    """
INSERT INTO today_attendance_day AS kept (
    school_id, day, student_id, status, is_unexplained_absence, version, touched_at
)
VALUES (
    %(school_id)s, %(day)s, %(student_id)s, %(status)s, %(is_unexplained_absence)s, %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, day, student_id) DO UPDATE
SET status = excluded.status, is_unexplained_absence = excluded.is_unexplained_absence, version = excluded.version,
    touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_ABSENCE_REPORT = (
    """
INSERT INTO today_absence_report AS kept (
    school_id, absence_report_id, student_id, kind, starts_on, ends_on, state, version, touched_at
)
VALUES (
    %(school_id)s, %(absence_report_id)s, %(student_id)s, %(kind)s, %(starts_on)s, %(ends_on)s, %(state)s,
    %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, absence_report_id) DO UPDATE
SET student_id = excluded.student_id, kind = excluded.kind, starts_on = excluded.starts_on,
    ends_on = excluded.ends_on, state = excluded.state, version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_PLAN = (
    """
INSERT INTO today_plan AS kept (school_id, day, version, touched_at)
VALUES (%(school_id)s, %(day)s, %(version)s, clock_timestamp())
ON CONFLICT (school_id, day) DO UPDATE
SET version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_REGISTER = (
    """
INSERT INTO today_register AS kept (
    school_id, day, lesson_id, saved_at, present, absent, late, excused, marked_student_ids, version, touched_at
)
VALUES (
    %(school_id)s, %(day)s, %(lesson_id)s, %(saved_at)s, %(present)s, %(absent)s, %(late)s, %(excused)s,
    %(marked_student_ids)s, %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, day, lesson_id) DO UPDATE
SET saved_at = excluded.saved_at, present = excluded.present, absent = excluded.absent, late = excluded.late,
    excused = excluded.excused, marked_student_ids = excluded.marked_student_ids, version = excluded.version,
    touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_DELIVERY = (
    """
INSERT INTO today_delivery AS kept (
    school_id, day, delivery_id, student_id, recipient_id, state, version, touched_at
)
VALUES (
    %(school_id)s, %(day)s, %(delivery_id)s, %(student_id)s, %(recipient_id)s, %(state)s, %(version)s,
    clock_timestamp()
)
ON CONFLICT (school_id, day, delivery_id) DO UPDATE
SET student_id = excluded.student_id, recipient_id = excluded.recipient_id, state = excluded.state,
    version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_ANNOUNCEMENT = (
    """
INSERT INTO today_announcement AS kept (
    school_id, announcement_id, edition, expires_at, is_withdrawn, version, touched_at
)
VALUES (
    %(school_id)s, %(announcement_id)s, %(edition)s, %(expires_at)s, %(is_withdrawn)s, %(version)s, clock_timestamp()
)
ON CONFLICT (school_id, announcement_id) DO UPDATE
SET edition = excluded.edition, expires_at = excluded.expires_at, is_withdrawn = excluded.is_withdrawn,
    version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

SAVE_MESSAGE = (
    """
INSERT INTO today_message AS kept (school_id, announcement_id, recipient_id, role, version, touched_at)
VALUES (%(school_id)s, %(announcement_id)s, %(recipient_id)s, %(role)s, %(version)s, clock_timestamp())
ON CONFLICT (school_id, announcement_id, recipient_id) DO UPDATE
SET role = excluded.role, version = excluded.version, touched_at = excluded.touched_at
"""
    + IF_NEWS
)

Rows = (
    StudentChanged
    | TeacherChanged
    | GuardianLinkChanged
    | AttendanceDayChanged
    | AttendanceDayKept
    | AbsenceReportChanged
    | AbsenceReportKept
    | RegisterSaved
    | DeliveryEnded
    | AnnouncementChanged
    | AnnouncementRead
    | ReceiptKept
)
STATEMENT_OF: Mapping[type[Rows], LiteralString] = {
    StudentChanged: SAVE_STUDENT,
    TeacherChanged: SAVE_TEACHER,
    GuardianLinkChanged: SAVE_GUARDIAN_LINK,
    AttendanceDayChanged: SAVE_ATTENDANCE_DAY,
    AttendanceDayKept: SAVE_ATTENDANCE_DAY,
    AbsenceReportChanged: SAVE_ABSENCE_REPORT,
    AbsenceReportKept: SAVE_ABSENCE_REPORT,
    RegisterSaved: SAVE_REGISTER,
    DeliveryEnded: SAVE_DELIVERY,
    AnnouncementChanged: SAVE_ANNOUNCEMENT,
    AnnouncementRead: SAVE_MESSAGE,
    ReceiptKept: SAVE_MESSAGE,
}
"""The parameters of each are fields of the event."""


async def save(tx: Tx, *, school_id: UUID, event: Rows, version: int, since: datetime | None) -> None:
    """Save what is one row."""
    await tx.execute(
        STATEMENT_OF[type(event)], school_id=school_id, version=version, since=since, **msgspec.structs.asdict(event)
    )


async def add_messages(
    tx: Tx, *, school_id: UUID, announcement_id: UUID, staff: Sequence[AnnouncementRecipient]
) -> None:
    """None of them has read it; who is there already may have."""
    rows = [
        {
            "school_id": school_id,
            "announcement_id": announcement_id,
            "recipient_id": each.recipient_id,
            "role": each.role,
            "version": 0,
            "since": None,
        }
        for each in staff
    ]
    await tx.execute_many(SAVE_MESSAGE, rows)


async def save_class(tx: Tx, *, school_id: UUID, event: ClassChanged, version: int, since: datetime | None) -> bool:
    """Whether the class is news. Locks its row, so that its members are replaced one state at a time."""
    saved = await tx.execute(
        SAVE_CLASS,
        school_id=school_id,
        class_id=event.class_id,
        title=event.title,
        is_active=event.is_active,
        version=version,
        since=since,
    )
    return saved == 1


FORGET_MEMBERS = """
DELETE FROM today_class_member
WHERE school_id = %(school_id)s
AND class_id = %(class_id)s
"""

ADD_MEMBERS = """
INSERT INTO today_class_member (school_id, class_id, person_id, role, starts_on, ends_on)
SELECT %(school_id)s, %(class_id)s, person_id, role, starts_on, ends_on
FROM unnest(%(person_ids)s::uuid[], %(roles)s::text[], %(starts_on)s::date[], %(ends_on)s::date[])
    AS member (person_id, role, starts_on, ends_on)
"""


async def replace_members(tx: Tx, *, school_id: UUID, class_id: UUID, members: Sequence[ClassMember]) -> None:
    await tx.execute(FORGET_MEMBERS, school_id=school_id, class_id=class_id)
    await tx.execute(
        ADD_MEMBERS,
        school_id=school_id,
        class_id=class_id,
        person_ids=[member.person_id for member in members],
        roles=[member.role for member in members],
        starts_on=[member.starts_on for member in members],
        ends_on=[member.ends_on for member in members],
    )


async def save_plan(tx: Tx, *, school_id: UUID, day: date, version: int, since: datetime | None) -> bool:
    """Whether the day's lessons are news. Locks its row, so that its lessons are replaced one state at a time."""
    return await tx.execute(SAVE_PLAN, school_id=school_id, day=day, version=version, since=since) == 1


FORGET_LESSONS = """
DELETE FROM today_lesson
WHERE school_id = %(school_id)s
AND day = %(day)s
"""

ADD_LESSON = """
INSERT INTO today_lesson (
    school_id, day, lesson_id, class_id, class_title, starts_at, ends_at, teacher_ids, is_cancelled, is_on_holiday
)
VALUES (
    %(school_id)s, %(day)s, %(lesson_id)s, %(class_id)s, %(class_title)s, %(starts_at)s, %(ends_at)s,
    %(teacher_ids)s::uuid[], %(is_cancelled)s, %(is_on_holiday)s
)
"""


async def replace_lessons(tx: Tx, *, school_id: UUID, day: date, lessons: Sequence[LessonOfDay]) -> None:
    await tx.execute(FORGET_LESSONS, school_id=school_id, day=day)
    rows = [{"school_id": school_id, "day": day, **msgspec.structs.asdict(lesson)} for lesson in lessons]
    await tx.execute_many(ADD_LESSON, rows)
