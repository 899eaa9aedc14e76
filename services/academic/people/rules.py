"""Which fields of a student are whose to see, and the order of grades."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from services.academic.people.schemas import GradeCount, Student
from shared.identity import Role

NEEDS_CONTACT = frozenset({Role.SCHOOL_ADMIN, Role.GUARDIAN, Role.STUDENT})

NUMBER: Final = re.compile(r"(\d+)")


def visible(student: Student, role: str) -> Student:
    """Mail address and date of birth are for the office, the guardians and the student; not for teachers."""
    if role in NEEDS_CONTACT:
        return student
    return msgspec.structs.replace(student, email=None, birth_date=None)


def in_order(grades: Iterable[GradeCount]) -> list[GradeCount]:
    """Numbers within names count as numbers: 2 before 10, 9b before 10a."""
    return sorted(grades, key=lambda each: (_parts(each.grade), each.grade))


def _parts(grade: str) -> list[str | int]:
    """Text and numbers in turns, beginning with a text that may be empty: each compares with its like."""
    return [int(part) if at % 2 else part.casefold() for at, part in enumerate(NUMBER.split(grade))]
