"""Putting people into classes and ending that; the class is told as it now is."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from psycopg.errors import ExclusionViolation, ForeignKeyViolation

from services.academic.classes.actions import tell_of_classes
from services.academic.enrolments import queries, rules
from services.academic.enrolments.schemas import Enrolment, EnrolmentEnd, ImportedEnrolment, NewEnrolment
from shared.database import Database, Tx
from shared.ids import new_id
from shared.problems import NotFound


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


async def leave_classes(tx: Tx, school_id: UUID, person_ids: Sequence[UUID], *, day: date, now: datetime) -> None:
    """End the enrolments of people who are no longer of the school on `day`, and tell of their classes."""
    left = await queries.people_leave(tx, school_id=school_id, person_ids=person_ids, day=day)
    await tell_of_classes(tx, school_id, left, now=now)


async def import_enrolments(
    tx: Tx,
    school_id: UUID,
    enrolments: Sequence[ImportedEnrolment],
    *,
    gone: Sequence[str],
    gone_people: Sequence[UUID],
    changed_classes: set[UUID],
    day: date,
    now: datetime,
) -> None:
    """Make the members of a school's classes those of another system, and tell of every class that changed.

    People, sessions and classes are there already; `gone_people` leave the classes that they were put into by hand too;
    `changed_classes` are those that differ without their members.
    """
    in_members = await queries.import_enrolments(tx, school_id=school_id, enrolments=enrolments, gone=gone, day=day)
    left = await queries.people_leave(tx, school_id=school_id, person_ids=gone_people, day=day)
    await tell_of_classes(tx, school_id, changed_classes | in_members | left, now=now)
