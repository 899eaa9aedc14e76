"""What was told last of a school's records. Read from the primary: a rebuild must miss nothing that was told."""

from datetime import date
from uuid import UUID

from services.academic.classes import queries as classes
from services.academic.day_plans import queries as day_plans
from services.academic.snapshots import queries
from shared.contracts.academic import (
    ClassChanged,
    GuardianLinkChanged,
    LessonsPlanned,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.snapshots import AbsenceReportKept, AttendanceDayKept, Kept, SnapshotKind, SnapshotRow
from shared.database import Database, Tx


async def snapshot(
    database: Database, school_id: UUID, kind: SnapshotKind, day: date, *, after_id: UUID, limit: int
) -> list[SnapshotRow]:
    async with database.transaction(school_id=school_id) as tx:
        match kind:
            case "classes":
                return await _classes(tx, school_id, after_id=after_id, limit=limit)
            case "lessons":
                return await _lessons(tx, school_id, day, after_id=after_id)
            case _:
                return await queries.rows(tx, kind, school_id=school_id, day=day, after_id=after_id, limit=limit)


async def _classes(tx: Tx, school_id: UUID, *, after_id: UUID, limit: int) -> list[SnapshotRow]:
    """The versions are read first: whoever joins meanwhile is told once more, under a higher one."""
    states = await queries.classes(tx, school_id=school_id, after_id=after_id, limit=limit)
    members = await classes.members(tx, school_id=school_id, class_ids=[each.id for each in states])
    return [
        SnapshotRow(
            version=each.version,
            data=ClassChanged(
                class_id=each.id,
                title=each.title,
                is_active=each.is_active,
                members=members[each.id],
                grades=each.grades,
            ),
        )
        for each in states
    ]


async def _lessons(tx: Tx, school_id: UUID, day: date, *, after_id: UUID) -> list[SnapshotRow]:
    """A day is one row; none if it was never told, for then it is about to be. Its version is read first."""
    version = await day_plans.version(tx, school_id=school_id, day=day)
    if version is None or after_id >= school_id:
        return []
    lessons = await day_plans.lessons(tx, school_id=school_id, day=day)
    return [SnapshotRow(version=version, data=LessonsPlanned(day=day, lessons=lessons))]


def id_of(school_id: UUID, row: Kept) -> UUID:
    """By which its page is ordered."""
    match row:
        case StudentChanged() | AttendanceDayKept():
            return row.student_id
        case TeacherChanged():
            return row.teacher_id
        case ClassChanged():
            return row.class_id
        case GuardianLinkChanged():
            return row.guardian_link_id
        case AbsenceReportKept():
            return row.absence_report_id
        case RegisterSaved():
            return row.lesson_id
        case LessonsPlanned():
            return school_id
