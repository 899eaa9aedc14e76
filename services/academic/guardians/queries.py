"""SQL over guardians, their links to children and the history of those."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.academic.guardians.schemas import (
    Guardian,
    GuardianLink,
    GuardianLinkState,
    GuardianOfStudent,
)
from shared.database import Reader, Tx

LOCK_CSV = """
SELECT pg_advisory_xact_lock(hashtextextended('guardian csv:' || %(school_id)s::text, 0))
"""


async def lock_csv(tx: Tx, *, school_id: UUID) -> None:
    """One CSV of a school at a time, until the end of the transaction."""
    await tx.execute(LOCK_CSV, school_id=school_id)


GUARDIAN = """
SELECT id, given_name, family_name, email, phone, is_active, version
FROM guardian
WHERE school_id = %(school_id)s
AND id = %(guardian_id)s
"""


async def guardian(reader: Reader, *, school_id: UUID, guardian_id: UUID) -> Guardian | None:
    return await reader.one(Guardian, GUARDIAN, school_id=school_id, guardian_id=guardian_id)


GUARDIANS = """
SELECT id, given_name, family_name, email, phone, is_active, version
FROM guardian
WHERE school_id = %(school_id)s
AND (family_name, given_name, id) > (%(family_name)s, %(given_name)s, %(after_id)s)
ORDER BY family_name, given_name, id
LIMIT %(limit)s
"""


async def guardians(reader: Reader, *, school_id: UUID, after: tuple[str, str, UUID], limit: int) -> list[Guardian]:
    family_name, given_name, after_id = after
    return await reader.all(
        Guardian,
        GUARDIANS,
        school_id=school_id,
        family_name=family_name,
        given_name=given_name,
        after_id=after_id,
        limit=limit,
    )


ALL_GUARDIANS = """
SELECT id, given_name, family_name, email, phone, is_active, version
FROM guardian
WHERE school_id = %(school_id)s
ORDER BY id
LIMIT 100000
"""


async def all_guardians(reader: Reader, *, school_id: UUID) -> list[Guardian]:
    """Every guardian of a school: for a CSV, which finds the known ones among them."""
    return await reader.all(Guardian, ALL_GUARDIANS, school_id=school_id)


# A guardian of the same mailbox and name is there already: nothing is added.
ADD_GUARDIAN = """
INSERT INTO guardian (school_id, id, given_name, family_name, email, phone)
VALUES (%(school_id)s, %(id)s, %(given_name)s, %(family_name)s, %(email)s, %(phone)s)
ON CONFLICT DO NOTHING
"""


async def add_guardian(tx: Tx, *, school_id: UUID, guardian: Guardian) -> bool:
    return await tx.execute(ADD_GUARDIAN, school_id=school_id, **msgspec.structs.asdict(guardian)) == 1


SAVE_GUARDIAN = """
UPDATE guardian
SET given_name = %(given_name)s, family_name = %(family_name)s, email = %(email)s, phone = %(phone)s,
    is_active = %(is_active)s, version = version + 1
WHERE school_id = %(school_id)s
AND id = %(id)s
AND version = %(version)s
"""


async def save_guardian(tx: Tx, *, school_id: UUID, guardian: Guardian) -> bool:
    """Save over the version that `guardian` carries; False when it is no longer that."""
    return await tx.execute(SAVE_GUARDIAN, school_id=school_id, **msgspec.structs.asdict(guardian)) == 1


LINK = """
SELECT id, guardian_id, student_id, relation, may_see, receives_alerts, priority, starts_on, ends_on, is_active, version
FROM guardian_link
WHERE school_id = %(school_id)s
AND id = %(link_id)s
"""


async def link(reader: Reader, *, school_id: UUID, link_id: UUID) -> GuardianLink | None:
    return await reader.one(GuardianLink, LINK, school_id=school_id, link_id=link_id)


# Uses the key; guardian_link_student for one student, the unique key for one guardian.
SELECT_LINKS: LiteralString = """
SELECT id, guardian_id, student_id, relation, may_see, receives_alerts, priority, starts_on, ends_on, is_active, version
FROM guardian_link
WHERE school_id = %(school_id)s
AND id > %(after_id)s
"""
OF_GUARDIAN: LiteralString = "AND guardian_id = %(guardian_id)s"
OF_STUDENT: LiteralString = "AND student_id = %(student_id)s"
IN_ORDER: LiteralString = """
ORDER BY id
LIMIT %(limit)s
"""


async def links(
    reader: Reader,
    *,
    school_id: UUID,
    guardian_id: UUID | None,
    student_id: UUID | None,
    after_id: UUID,
    limit: int,
) -> list[GuardianLink]:
    """Those of one guardian, of one student, of both, or of the school."""
    narrowed: list[LiteralString] = [*([OF_GUARDIAN] if guardian_id else []), *([OF_STUDENT] if student_id else [])]
    return await reader.all(
        GuardianLink,
        "\n".join((SELECT_LINKS, *narrowed, IN_ORDER)),
        school_id=school_id,
        guardian_id=guardian_id,
        student_id=student_id,
        after_id=after_id,
        limit=limit,
    )


async def all_links(reader: Reader, *, school_id: UUID) -> list[GuardianLink]:
    return await links(
        reader, school_id=school_id, guardian_id=None, student_id=None, after_id=UUID(int=0), limit=200_000
    )


ADD_LINK = """
INSERT INTO guardian_link (
    school_id, id, guardian_id, student_id, relation, may_see, receives_alerts, priority, starts_on, ends_on
)
VALUES (
    %(school_id)s, %(id)s, %(guardian_id)s, %(student_id)s, %(relation)s, %(may_see)s, %(receives_alerts)s,
    %(priority)s, %(starts_on)s, %(ends_on)s
)
ON CONFLICT (school_id, guardian_id, student_id) DO NOTHING
"""


async def add_link(tx: Tx, *, school_id: UUID, link: GuardianLink) -> bool:
    """False when the two are linked already. Raises ForeignKeyViolation for a guardian or student not of the school."""
    return await tx.execute(ADD_LINK, school_id=school_id, **msgspec.structs.asdict(link)) == 1


SAVE_LINK = """
UPDATE guardian_link
SET relation = %(relation)s, may_see = %(may_see)s, receives_alerts = %(receives_alerts)s, priority = %(priority)s,
    starts_on = %(starts_on)s, ends_on = %(ends_on)s, is_active = %(is_active)s, version = version + 1
WHERE school_id = %(school_id)s
AND id = %(id)s
AND version = %(version)s
"""


async def save_link(tx: Tx, *, school_id: UUID, link: GuardianLink) -> bool:
    """Save over the version that `link` carries; False when it is no longer that."""
    return await tx.execute(SAVE_LINK, school_id=school_id, **msgspec.structs.asdict(link)) == 1


RECORD_CHANGE = """
INSERT INTO guardian_link_change (
    school_id, guardian_link_id, version, changed_at, changed_by, relation, may_see, receives_alerts, priority,
    starts_on, ends_on, is_active
)
VALUES (
    %(school_id)s, %(id)s, %(version)s, %(now)s, %(user_id)s, %(relation)s, %(may_see)s, %(receives_alerts)s,
    %(priority)s, %(starts_on)s, %(ends_on)s, %(is_active)s
)
"""


async def record_changes(
    tx: Tx, *, school_id: UUID, links: Sequence[GuardianLink], user_id: UUID, now: datetime
) -> None:
    await tx.execute_many(
        RECORD_CHANGE,
        [{"school_id": school_id, "now": now, "user_id": user_id, **msgspec.structs.asdict(link)} for link in links],
    )


HISTORY = """
SELECT version, changed_at, changed_by, relation, may_see, receives_alerts, priority, starts_on, ends_on, is_active
FROM guardian_link_change
WHERE school_id = %(school_id)s
AND guardian_link_id = %(link_id)s
ORDER BY version
LIMIT 1000
"""


async def history(reader: Reader, *, school_id: UUID, link_id: UUID) -> list[GuardianLinkState]:
    return await reader.all(GuardianLinkState, HISTORY, school_id=school_id, link_id=link_id)


# Uses guardian_link_student.
GUARDIANS_OF_STUDENT = """
SELECT guardian.id AS guardian_id, guardian_link.id AS guardian_link_id, guardian.given_name, guardian.family_name,
       guardian.email, guardian.phone, guardian_link.relation, guardian_link.may_see, guardian_link.receives_alerts,
       guardian_link.priority, guardian_link.starts_on, guardian_link.ends_on
FROM guardian_link
JOIN guardian ON guardian.school_id = guardian_link.school_id AND guardian.id = guardian_link.guardian_id
WHERE guardian_link.school_id = %(school_id)s
AND guardian_link.student_id = %(student_id)s
AND guardian_link.is_active
AND (guardian_link.starts_on IS NULL OR guardian_link.starts_on <= %(day)s)
AND (guardian_link.ends_on IS NULL OR guardian_link.ends_on >= %(day)s)
ORDER BY guardian_link.priority, guardian.family_name, guardian.given_name, guardian.id
LIMIT 100
"""


async def guardians_of_student(
    reader: Reader, *, school_id: UUID, student_id: UUID, day: date
) -> list[GuardianOfStudent]:
    return await reader.all(
        GuardianOfStudent, GUARDIANS_OF_STUDENT, school_id=school_id, student_id=student_id, day=day
    )
