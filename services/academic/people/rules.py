"""Which fields of a student are whose to see."""

import msgspec

from services.academic.people.schemas import Student
from shared.identity import Role

NEEDS_CONTACT = frozenset({Role.SCHOOL_ADMIN, Role.GUARDIAN, Role.STUDENT})


def visible(student: Student, role: str) -> Student:
    """Mail address and date of birth are for the office, the guardians and the student; not for teachers."""
    if role in NEEDS_CONTACT:
        return student
    return msgspec.structs.replace(student, email=None, birth_date=None)
