"""Reading the contacts of a class, for those whom it concerns."""

from uuid import UUID

from services.communication import access
from services.communication.contacts import queries, rules
from services.communication.contacts.schemas import Contact, NameKey
from services.communication.roster import queries as roster
from shared import clock
from shared.database import Database
from shared.identity import Caller


async def contacts_of_class(
    database: Database, caller: Caller, class_id: UUID, *, after: NameKey, limit: int
) -> list[Contact]:
    """Raises NotFound for a class that is not the caller's today, in the school's time zone."""
    reader = database.reader(school_id=caller.school)
    today = clock.school_day(clock.now(), await roster.time_zone_of(reader, school_id=caller.school))
    await access.require_class(reader, caller, class_id, today=today)
    students = await queries.students_of_class(
        reader, school_id=caller.school, class_id=class_id, day=today, after=after, limit=limit
    )
    guardians = await queries.guardians_of_students(
        reader, school_id=caller.school, student_ids=[each.student_id for each in students], day=today
    )
    return rules.contacts(students, guardians)
