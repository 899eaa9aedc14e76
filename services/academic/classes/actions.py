"""Classes and their members: each change tells the others the class as it now is, and plans its lessons anew."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from psycopg.errors import ExclusionViolation, ForeignKeyViolation

from services.academic.classes import queries, rules
from services.academic.classes.schemas import (
    Enrolment,
    EnrolmentEnd,
    ImportedClass,
    ImportedCourse,
    ImportedEnrolment,
    NewClass,
    NewEnrolment,
    SchoolClass,
)
from services.academic.timetable.actions import plan_school
from shared.contracts.academic import ClassChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import Event, publish_all
from shared.problems import NotFound


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


async def enrol(database: Database, school_id: UUID, new: NewEnrolment, *, now: datetime) -> Enrolment:
    """Raises NotFound for a class or person not of the school, SpellsOverlap, EnrolmentEndsBeforeStart."""
    rules.require_order(new.starts_on, new.ends_on)
    enrolment_id = new_id()
    async with database.transaction(school_id=school_id) as tx:
        try:
            await queries.add_enrolment(tx, school_id=school_id, enrolment_id=enrolment_id, new=new)
        except ForeignKeyViolation:
            raise NotFound("There is no such class or person.") from None
        except ExclusionViolation:
            raise rules.SpellsOverlap("End the other enrolment first.") from None
        await tell_of_classes(tx, school_id, {new.class_id}, now=now)
        return await _enrolment(tx, school_id, new.class_id, enrolment_id)


async def end_enrolment(
    database: Database, school_id: UUID, enrolment_id: UUID, end: EnrolmentEnd, *, now: datetime
) -> Enrolment:
    """Marks that were made while the person was in the class stay. Raises NotFound, EnrolmentEndsBeforeStart."""
    async with database.transaction(school_id=school_id) as tx:
        spell = await queries.enrolment(tx, school_id=school_id, enrolment_id=enrolment_id)
        if spell is None:
            raise NotFound
        rules.require_order(spell.starts_on, end.ends_on)
        try:
            await queries.end_enrolment(tx, school_id=school_id, enrolment_id=enrolment_id, ends_on=end.ends_on)
        except ExclusionViolation:
            raise rules.SpellsOverlap("The person comes back to this class before that.") from None
        await tell_of_classes(tx, school_id, {spell.class_id}, now=now)
        return await _enrolment(tx, school_id, spell.class_id, enrolment_id)


async def _enrolment(tx: Tx, school_id: UUID, class_id: UUID, enrolment_id: UUID) -> Enrolment:
    found = await queries.enrolments(tx, school_id=school_id, class_id=class_id, enrolment_id=enrolment_id)
    return found[0]


async def import_classes(
    tx: Tx,
    school_id: UUID,
    *,
    courses: Sequence[ImportedCourse],
    classes: Sequence[ImportedClass],
    enrolments: Sequence[ImportedEnrolment],
    gone_classes: Sequence[str],
    gone_enrolments: Sequence[str],
    day: date,
    now: datetime,
) -> None:
    """Make a school's classes and their members those of another system. People and sessions are there already."""
    await queries.import_courses(tx, school_id=school_id, courses=courses)
    changed = await queries.import_classes(tx, school_id=school_id, classes=classes, gone=gone_classes)
    in_members = await queries.import_enrolments(
        tx, school_id=school_id, enrolments=enrolments, gone=gone_enrolments, day=day
    )
    await tell_of_classes(tx, school_id, changed | in_members, now=now)


async def tell_of_classes(tx: Tx, school_id: UUID, class_ids: set[UUID], *, now: datetime) -> None:
    """Publish these classes as they now are, and make their lessons follow."""
    if not class_ids:
        return
    states = await queries.raise_versions(tx, school_id=school_id, class_ids=class_ids)
    members = await queries.members(tx, school_id=school_id, class_ids=class_ids)
    events = [
        Event(
            data=ClassChanged(
                class_id=state.id, title=state.title, is_active=state.is_active, members=members[state.id]
            ),
            subject=str(state.id),
            version=state.version,
        )
        for state in states
    ]
    await publish_all(tx, events, school_id=school_id)
    await plan_school(tx, school_id, now=now)
