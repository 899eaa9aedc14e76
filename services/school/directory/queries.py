"""SQL over districts and the directory of schools, which have no tenant."""

from uuid import UUID

import msgspec

from services.school.directory.schemas import DirectoryEntry, District, NameKey, RosterEntry, SchoolId
from shared.database import Reader, Tx
from shared.ids import new_id

DISTRICTS = """
-- unscoped: districts stand above schools.
SELECT district_id, sourced_id, name
FROM district
WHERE (name, district_id) > (%(name)s, %(after_id)s)
ORDER BY name, district_id
LIMIT %(limit)s
"""


async def districts(reader: Reader, *, after: NameKey, limit: int) -> list[District]:
    return await reader.all(District, DISTRICTS, name=after.name, after_id=after.id, limit=limit)


# Uses school_directory_name.
SCHOOLS = """
-- unscoped: the directory names every school.
SELECT school_id, district_id, sourced_id, name
FROM school_directory
WHERE (name, school_id) > (%(name)s, %(after_id)s)
AND (%(district_id)s::uuid IS NULL OR district_id = %(district_id)s)
ORDER BY name, school_id
LIMIT %(limit)s
"""


async def schools(reader: Reader, *, district_id: UUID | None, after: NameKey, limit: int) -> list[DirectoryEntry]:
    return await reader.all(
        DirectoryEntry, SCHOOLS, district_id=district_id, name=after.name, after_id=after.id, limit=limit
    )


SCHOOL_IDS = """
-- unscoped: the directory names every school.
SELECT school_id
FROM school_directory
WHERE school_id > %(after_id)s
ORDER BY school_id
LIMIT %(limit)s
"""


async def school_ids(reader: Reader, *, after_id: UUID, limit: int) -> list[UUID]:
    found = await reader.all(SchoolId, SCHOOL_IDS, after_id=after_id, limit=limit)
    return [each.school_id for each in found]


LOCK_DISTRICT = """
SELECT pg_advisory_xact_lock(hashtextextended('roster of ' || %(sourced_id)s::text, 0))
"""


async def lock_district(tx: Tx, *, sourced_id: str) -> None:
    """Let one roster of a district be saved at a time, the first one too."""
    await tx.execute(LOCK_DISTRICT, sourced_id=sourced_id)


SAVE_DISTRICT = """
-- unscoped: districts stand above schools.
INSERT INTO district (district_id, sourced_id, name)
VALUES (%(district_id)s, %(sourced_id)s, %(name)s)
ON CONFLICT (sourced_id) DO UPDATE
SET name = excluded.name
RETURNING district_id
"""


async def save_district(tx: Tx, *, sourced_id: str, name: str) -> UUID:
    district_id = await tx.value(UUID, SAVE_DISTRICT, district_id=new_id(), sourced_id=sourced_id, name=name)
    assert district_id is not None
    return district_id


SCHOOLS_OF_DISTRICT = """
-- unscoped: finds the ids of a district's schools, so that each can become the tenant.
SELECT school_id, sourced_id, roster_name
FROM school_directory
WHERE district_id = %(district_id)s
ORDER BY school_id
LIMIT 100000
"""


async def schools_of_district(tx: Tx, *, district_id: UUID) -> dict[str, RosterEntry]:
    """The schools of a district by their `sourced_id`."""
    found = await tx.all(RosterEntry, SCHOOLS_OF_DISTRICT, district_id=district_id)
    return {each.sourced_id: each for each in found}


ADD_SCHOOL = """
INSERT INTO school_directory (school_id, district_id, sourced_id, name, roster_name)
VALUES (%(school_id)s, %(district_id)s, %(sourced_id)s, %(name)s, %(name)s)
"""


async def add_school(tx: Tx, *, entry: DirectoryEntry) -> None:
    await tx.execute(ADD_SCHOOL, **msgspec.structs.asdict(entry))


RENAME_SCHOOL = """
UPDATE school_directory
SET name = %(name)s
WHERE school_id = %(school_id)s
"""


async def rename_school(tx: Tx, *, school_id: UUID, name: str) -> None:
    await tx.execute(RENAME_SCHOOL, school_id=school_id, name=name)


REMEMBER_ROSTER_NAME = """
UPDATE school_directory
SET roster_name = %(roster_name)s
WHERE school_id = %(school_id)s
"""


async def remember_roster_name(tx: Tx, *, school_id: UUID, roster_name: str) -> None:
    await tx.execute(REMEMBER_ROSTER_NAME, school_id=school_id, roster_name=roster_name)
