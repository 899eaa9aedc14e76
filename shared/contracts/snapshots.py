"""What an owner answers to `GET /internal/snapshot`: what its events told last, from which a read model is made anew.

Each row is right under its version: what changes while it is read is told once more, under a higher one.
"""

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from shared.contracts.academic import (
    ClassChanged,
    GuardianLinkChanged,
    LessonsPlanned,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.communication import AnnouncementChanged
from shared.contracts.notification import DeliveryEnded

SnapshotKind = Literal[
    "students", "teachers", "classes", "guardian_links", "absence_reports", "attendance_days", "registers", "lessons"
]


AnnouncementKind = Literal["announcements", "receipts"]


class AttendanceDayKept(msgspec.Struct, frozen=True, kw_only=True, tag="attendance_day", tag_field="type"):
    """The part of AttendanceDayChanged that is kept."""

    student_id: UUID
    day: date
    status: Literal["present", "late", "absent", "excused", "unmarked"]
    is_unexplained_absence: bool | None = None
    """None from an owner that does not say it yet."""


class AbsenceReportKept(msgspec.Struct, frozen=True, kw_only=True, tag="absence_report", tag_field="type"):
    """The part of AbsenceReportChanged that is kept."""

    absence_report_id: UUID
    student_id: UUID
    kind: Literal["absence", "leave"]
    starts_on: date
    ends_on: date
    state: Literal["pending", "accepted", "refused", "withdrawn"]


Kept = (
    StudentChanged
    | TeacherChanged
    | ClassChanged
    | GuardianLinkChanged
    | AttendanceDayKept
    | AbsenceReportKept
    | LessonsPlanned
    | RegisterSaved
)


class SnapshotRow(msgspec.Struct, frozen=True, kw_only=True):
    """Of `academic`."""

    version: int
    data: Kept


class ReceiptKept(msgspec.Struct, frozen=True, kw_only=True, tag="receipt", tag_field="type"):
    """A member of staff to whom an announcement went. The version is the edition that they read last: 0 when none."""

    announcement_id: UUID
    recipient_id: UUID
    role: Literal["school_admin", "teacher"]


class AnnouncementSnapshotRow(msgspec.Struct, frozen=True, kw_only=True):
    """Of `communication`."""

    version: int
    data: AnnouncementChanged | ReceiptKept


class DeliverySnapshotRow(msgspec.Struct, frozen=True, kw_only=True):
    """Of `notification`."""

    version: int
    data: DeliveryEnded
