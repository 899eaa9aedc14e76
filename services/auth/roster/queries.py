"""Read models: each row holds the highest version seen, so repeats and stale events change nothing."""

from uuid import UUID

import msgspec

from services.auth.roster.schemas import Person
from shared.database import Reader, Tx

SAVE_SCHOOL = """
INSERT INTO school (school_id, name, version)
VALUES (%(school_id)s, %(name)s, %(version)s)
ON CONFLICT (school_id) DO UPDATE
SET name = excluded.name, version = excluded.version
WHERE excluded.version > school.version
"""


async def save_school(tx: Tx, school_id: UUID, *, name: str, version: int) -> None:
    await tx.execute(SAVE_SCHOOL, school_id=school_id, name=name, version=version)


SAVE_PERSON = """
INSERT INTO person (school_id, person_id, role, name, email, email_normalised, is_active, version)
VALUES (
    %(school_id)s, %(person_id)s, %(role)s, %(name)s, %(email)s, %(email_normalised)s, %(is_active)s, %(version)s
)
ON CONFLICT (school_id, person_id) DO UPDATE
SET name = excluded.name,
    email = excluded.email,
    email_normalised = excluded.email_normalised,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > person.version
"""


async def save_person(tx: Tx, school_id: UUID, person: Person, *, version: int) -> bool:
    """False for an event that came late."""
    return await tx.execute(SAVE_PERSON, school_id=school_id, version=version, **msgspec.structs.asdict(person)) == 1


SCHOOL_NAME = """
SELECT name
FROM school
WHERE school_id = %(school_id)s
"""


async def school_name(reader: Reader, school_id: UUID) -> str | None:
    return await reader.value(str, SCHOOL_NAME, school_id=school_id)


PERSON = """
SELECT person_id, role, name, email, email_normalised, is_active
FROM person
WHERE school_id = %(school_id)s
  AND person_id = %(person_id)s
"""


async def person(reader: Reader, school_id: UUID, person_id: UUID) -> Person | None:
    return await reader.one(Person, PERSON, school_id=school_id, person_id=person_id)
