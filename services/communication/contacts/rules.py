"""Students and their guardians, put together."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.communication.contacts.schemas import Contact, GuardianContact, GuardianOfStudent, StudentName


def contacts(students: Sequence[StudentName], guardians: Sequence[GuardianOfStudent]) -> list[Contact]:
    """In the order of `students`, each with their guardians in the order given."""
    of: defaultdict[UUID, list[GuardianContact]] = defaultdict(list)
    for each in guardians:
        contact = GuardianContact(
            guardian_id=each.guardian_id,
            name=each.name,
            email=each.email,
            relation=each.relation,
            priority=each.priority,
        )
        of[each.student_id].append(contact)
    return [
        Contact(
            student_id=student.student_id,
            given_name=student.given_name,
            family_name=student.family_name,
            guardians=of[student.student_id],
        )
        for student in students
    ]
