"""SQL over the settings of one school."""

from uuid import UUID

import msgspec

from services.school.schools.schemas import School
from shared.database import Reader, Tx

SCHOOL = """
SELECT school_id, district_id, sourced_id, name, time_zone, grace_period_minutes, register_reminder_minutes,
       register_escalation_minutes, locale, brand_colour, logo_url, version, calendar_version
FROM school
WHERE school_id = %(school_id)s
"""


async def school(reader: Reader, *, school_id: UUID) -> School | None:
    return await reader.one(School, SCHOOL, school_id=school_id)


LOCK_SCHOOL = """
SELECT school_id, district_id, sourced_id, name, time_zone, grace_period_minutes, register_reminder_minutes,
       register_escalation_minutes, locale, brand_colour, logo_url, version, calendar_version
FROM school
WHERE school_id = %(school_id)s
FOR UPDATE
"""


async def lock_school(tx: Tx, *, school_id: UUID) -> School | None:
    """The school, which nobody else changes until the transaction ends; its calendar neither."""
    return await tx.one(School, LOCK_SCHOOL, school_id=school_id)


ADD_SCHOOL = """
INSERT INTO school (
    school_id, district_id, sourced_id, name, time_zone, grace_period_minutes, register_reminder_minutes,
    register_escalation_minutes, locale, brand_colour, logo_url, version, calendar_version
)
VALUES (
    %(school_id)s, %(district_id)s, %(sourced_id)s, %(name)s, %(time_zone)s, %(grace_period_minutes)s,
    %(register_reminder_minutes)s, %(register_escalation_minutes)s, %(locale)s, %(brand_colour)s, %(logo_url)s,
    %(version)s, %(calendar_version)s
)
"""


async def add_school(tx: Tx, *, school: School) -> None:
    """Its line in the directory comes first."""
    await tx.execute(ADD_SCHOOL, **msgspec.structs.asdict(school))


SAVE_SCHOOL = """
UPDATE school
SET name = %(name)s, time_zone = %(time_zone)s, grace_period_minutes = %(grace_period_minutes)s,
    register_reminder_minutes = %(register_reminder_minutes)s,
    register_escalation_minutes = %(register_escalation_minutes)s, locale = %(locale)s,
    brand_colour = %(brand_colour)s, logo_url = %(logo_url)s, version = %(version)s
WHERE school_id = %(school_id)s
"""


async def save_school(tx: Tx, *, school: School) -> None:
    """The school's row must be locked."""
    await tx.execute(
        SAVE_SCHOOL,
        school_id=school.school_id,
        name=school.name,
        time_zone=school.time_zone,
        grace_period_minutes=school.grace_period_minutes,
        register_reminder_minutes=school.register_reminder_minutes,
        register_escalation_minutes=school.register_escalation_minutes,
        locale=school.locale,
        brand_colour=school.brand_colour,
        logo_url=school.logo_url,
        version=school.version,
    )


COUNT_CALENDAR_CHANGE = """
UPDATE school
SET calendar_version = calendar_version + 1
WHERE school_id = %(school_id)s
RETURNING calendar_version
"""


async def count_calendar_change(tx: Tx, *, school_id: UUID) -> int:
    """The version of the calendar that is being made. The school's row must be locked."""
    version = await tx.value(int, COUNT_CALENDAR_CHANGE, school_id=school_id)
    assert version is not None
    return version
