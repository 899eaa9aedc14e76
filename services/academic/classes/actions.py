"""Classes: each change, of their members too, tells the others the class as it now is, and plans its lessons anew."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.errors import ForeignKeyViolation

from services.academic.classes import queries
from services.academic.classes.schemas import ClassChange, ImportedClass, ImportedCourse, NewClass, SchoolClass
from services.academic.timetable.actions import plan_school
from shared.contracts.academic import ClassChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import Event, publish_all
from shared.problems import NotFound, PreconditionFailed


async def add_class(database: Database, school_id: UUID, new: NewClass, *, now: datetime) -> SchoolClass:
    """Raises NotFound for a course or session that the school does not have."""
    class_id = new_id()
    async with database.transaction(school_id=school_id) as tx:
        try:
            known = await queries.add_class(tx, school_id=school_id, class_id=class_id, new=new)
        except ForeignKeyViolation:
            raise NotFound("There is no such course.") from None
        if known != len(set(new.academic_session_ids)):
            raise NotFound("There is no such academic session.")
        await tell_of_classes(tx, school_id, {class_id}, now=now)
        found = await queries.classes(tx, school_id=school_id, day=now.date(), class_id=class_id)
    return found[0]


async def change_class(
    database: Database, school_id: UUID, class_id: UUID, change: ClassChange, *, now: datetime
) -> SchoolClass:
    """Raises NotFound, PreconditionFailed for a stale version."""
    async with database.transaction(school_id=school_id) as tx:
        before = await queries.lock_class(tx, school_id=school_id, class_id=class_id)
        if before is None:
            raise NotFound
        if before.version != change.version:
            raise PreconditionFailed(f"The class is at version {before.version}.")
        grades = sorted(set(change.grades))
        if grades != before.grades:
            await queries.save_grades(tx, school_id=school_id, class_id=class_id, grades=grades)
            await tell_of_classes(tx, school_id, {class_id}, now=now)
        found = await queries.classes(tx, school_id=school_id, day=now.date(), class_id=class_id)
    return found[0]


async def import_classes(
    tx: Tx,
    school_id: UUID,
    *,
    courses: Sequence[ImportedCourse],
    classes: Sequence[ImportedClass],
    gone_classes: Sequence[str],
) -> set[UUID]:
    """Make a school's courses and classes those of another system; the classes that changed are still to be told."""
    await queries.import_courses(tx, school_id=school_id, courses=courses)
    return await queries.import_classes(tx, school_id=school_id, classes=classes, gone=gone_classes)


async def tell_of_classes(tx: Tx, school_id: UUID, class_ids: set[UUID], *, now: datetime) -> None:
    """Publish these classes as they now are, and make their lessons follow."""
    if not class_ids:
        return
    states = await queries.raise_versions(tx, school_id=school_id, class_ids=class_ids)
    members = await queries.members(tx, school_id=school_id, class_ids=class_ids)
    events = [
        Event(
            data=ClassChanged(
                class_id=state.id,
                title=state.title,
                is_active=state.is_active,
                members=members[state.id],
                grades=state.grades,
            ),
            subject=str(state.id),
            version=state.version,
        )
        for state in states
    ]
    await publish_all(tx, events, school_id=school_id)
    await plan_school(tx, school_id, now=now)
