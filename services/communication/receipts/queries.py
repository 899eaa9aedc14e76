"""What readers see, and what is known of their reading.

A guardian sees an announcement while a link to a child that it came for is in force and lets them see: after that it
is out of sight, as in the inbox.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from services.communication.audiences.queries import CHILD_OF_AUTHORS_CLASSES, OF_AUTHORS_CLASSES, PRESENT
from services.communication.audiences.schemas import RecipientKey
from services.communication.receipts.schemas import Receipt, ReceivedAnnouncement, ReceivedKey, RoleReceipts
from shared.database import Reader, Tx

# Part of every statement that a reader's eyes depend on; uses announcement_recipient_list or its primary key, and
# guardian_link_guardian.
IN_SIGHT: LiteralString = """
FROM announcement_recipient AS recipient
JOIN announcement ON announcement.school_id = recipient.school_id
    AND announcement.announcement_id = recipient.announcement_id
LEFT JOIN teacher ON teacher.school_id = announcement.school_id AND teacher.teacher_id = announcement.author_person_id
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT link.student_id ORDER BY link.student_id) AS student_ids
    FROM guardian_link AS link
    LEFT JOIN school ON school.school_id = link.school_id
    CROSS JOIN LATERAL (
        SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
    ) AS calendar
    WHERE link.school_id = %(school_id)s
    AND link.guardian_id = recipient.recipient_id
    AND link.student_id = ANY(recipient.student_ids)
    AND link.is_active
    AND link.may_see
    AND coalesce(link.starts_on <= calendar.today, true)
    AND coalesce(link.ends_on >= calendar.today, true)
) AS seen ON recipient.role = 'guardian'
WHERE recipient.school_id = %(school_id)s
AND recipient.recipient_id = %(recipient_id)s
AND recipient.role = %(role)s
AND announcement.state IN ('sending', 'sent')
AND (recipient.role <> 'guardian' OR seen.student_ids IS NOT NULL)
"""

SELECT_RECEIVED: LiteralString = """
SELECT announcement.announcement_id, announcement.title, announcement.body, announcement.is_urgent,
       nullif(trim(concat_ws(' ', teacher.given_name, teacher.family_name)), '') AS author_name,
       coalesce(seen.student_ids, '{}') AS student_ids,
       coalesce(announcement.pinned_until > %(now)s::timestamptz, false) AS is_pinned,
       announcement.edition, recipient.sent_at, announcement.edited_at,
       CASE WHEN recipient.read_edition >= announcement.edition THEN recipient.read_at END AS read_at
"""

# The pinned ones first, then the newest.
RECEIVED: LiteralString = (
    SELECT_RECEIVED
    + IN_SIGHT
    + """
AND (announcement.expires_at IS NULL OR announcement.expires_at > %(now)s::timestamptz)
AND (NOT %(unread_only)s::boolean OR recipient.read_edition < announcement.edition)
AND (%(after_id)s::uuid IS NULL OR (
    coalesce(announcement.pinned_until > %(now)s::timestamptz, false), recipient.sent_at, recipient.announcement_id
) < (%(after_pinned)s::boolean, %(after_sent_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY is_pinned DESC, recipient.sent_at DESC, recipient.announcement_id DESC
LIMIT %(limit)s
"""
)


async def received(
    reader: Reader,
    *,
    school_id: UUID,
    recipient_id: UUID,
    role: str,
    now: datetime,
    unread_only: bool,
    after: ReceivedKey | None,
    limit: int,
) -> list[ReceivedAnnouncement]:
    return await reader.all(
        ReceivedAnnouncement,
        RECEIVED,
        school_id=school_id,
        recipient_id=recipient_id,
        role=role,
        now=now,
        unread_only=unread_only,
        after_pinned=after.is_pinned if after else None,
        after_sent_at=after.sent_at if after else None,
        after_id=after.announcement_id if after else None,
        limit=limit,
    )


# What expired is no longer listed, but whoever kept its address may read it.
ONE_RECEIVED: LiteralString = (
    SELECT_RECEIVED
    + IN_SIGHT
    + """
AND announcement.announcement_id = %(announcement_id)s
"""
)


async def one_received(
    reader: Reader, *, school_id: UUID, recipient_id: UUID, role: str, announcement_id: UUID, now: datetime
) -> ReceivedAnnouncement | None:
    return await reader.one(
        ReceivedAnnouncement,
        ONE_RECEIVED,
        school_id=school_id,
        recipient_id=recipient_id,
        role=role,
        announcement_id=announcement_id,
        now=now,
    )


MARK_READ = """
UPDATE announcement_recipient
SET read_edition = %(edition)s, read_at = %(now)s
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
AND recipient_id = %(recipient_id)s
AND read_edition < %(edition)s
"""


async def mark_read(
    tx: Tx, *, school_id: UUID, announcement_id: UUID, recipient_id: UUID, edition: int, now: datetime
) -> bool:
    """Whether it was unread: whoever read this edition, or a later one, has read it when they did."""
    marked = await tx.execute(
        MARK_READ,
        school_id=school_id,
        announcement_id=announcement_id,
        recipient_id=recipient_id,
        edition=edition,
        now=now,
    )
    return marked == 1


MARK_DELIVERED = """
UPDATE announcement_recipient
SET delivered_edition = %(edition)s, delivered_at = %(delivered_at)s
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
AND recipient_id = ANY(%(recipient_ids)s::uuid[])
AND delivered_edition < %(edition)s
"""


async def mark_delivered(
    tx: Tx,
    *,
    school_id: UUID,
    announcement_id: UUID,
    recipient_ids: Sequence[UUID],
    edition: int,
    delivered_at: datetime,
) -> None:
    await tx.execute(
        MARK_DELIVERED,
        school_id=school_id,
        announcement_id=announcement_id,
        recipient_ids=list(recipient_ids),
        edition=edition,
        delivered_at=delivered_at,
    )


# Counted from the rows; uses announcement_recipient_pkey.
RECEIPTS = """
SELECT role, count(*) AS recipients,
       count(*) FILTER (WHERE delivered_edition >= %(edition)s) AS delivered,
       count(*) FILTER (WHERE read_edition >= %(edition)s) AS read
FROM announcement_recipient
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
GROUP BY role
ORDER BY role
LIMIT 4
"""


async def receipts(reader: Reader, *, school_id: UUID, announcement_id: UUID, edition: int) -> list[RoleReceipts]:
    return await reader.all(
        RoleReceipts, RECEIPTS, school_id=school_id, announcement_id=announcement_id, edition=edition
    )


# One announcement's audience by name, for a teacher those of their classes; uses announcement_recipient_pkey.
AUDIENCE_RECEIPTS: LiteralString = (
    "WITH "
    + PRESENT
    + """
SELECT recipient.recipient_id, recipient.role, coalesce(had_for.student_ids, '{}') AS student_ids,
       coalesce(student.given_name, guardian.given_name, teacher.given_name, '') AS given_name,
       coalesce(student.family_name, guardian.family_name, teacher.family_name, '') AS family_name,
       CASE WHEN recipient.delivered_edition >= %(edition)s::int THEN recipient.delivered_at END AS delivered_at,
       CASE WHEN recipient.read_edition >= %(edition)s::int THEN recipient.read_at END AS read_at
FROM announcement_recipient AS recipient
LEFT JOIN student ON student.school_id = recipient.school_id AND student.student_id = recipient.recipient_id
LEFT JOIN guardian ON guardian.school_id = recipient.school_id AND guardian.guardian_id = recipient.recipient_id
LEFT JOIN teacher ON teacher.school_id = recipient.school_id AND teacher.teacher_id = recipient.recipient_id
LEFT JOIN LATERAL (
    SELECT array_agg(child.student_id ORDER BY child.student_id) AS student_ids
    FROM unnest(recipient.student_ids) AS child (student_id)
    WHERE """
    + CHILD_OF_AUTHORS_CLASSES
    + """
) AS had_for ON recipient.role = 'guardian'
WHERE recipient.school_id = %(school_id)s
AND recipient.announcement_id = %(announcement_id)s
AND (recipient.role <> 'guardian' OR had_for.student_ids IS NOT NULL)
AND """
    + OF_AUTHORS_CLASSES
    + """
AND (%(is_read)s::boolean IS NULL OR (recipient.read_edition >= %(edition)s::int) = %(is_read)s::boolean)
AND (
    recipient.role,
    coalesce(student.family_name, guardian.family_name, teacher.family_name, ''),
    coalesce(student.given_name, guardian.given_name, teacher.given_name, ''),
    recipient.recipient_id
) > (%(after_role)s::text, %(after_family_name)s::text, %(after_given_name)s::text, %(after_id)s::uuid)
ORDER BY recipient.role, family_name, given_name, recipient.recipient_id
LIMIT %(limit)s
"""
)


async def audience_receipts(
    reader: Reader,
    *,
    school_id: UUID,
    announcement_id: UUID,
    edition: int,
    teacher_id: UUID | None,
    day: date,
    is_read: bool | None,
    after: RecipientKey,
    limit: int,
) -> list[Receipt]:
    """By role and name; all, or who has read it, or who has not. Of a teacher's classes on the day, if one is named."""
    return await reader.all(
        Receipt,
        AUDIENCE_RECEIPTS,
        school_id=school_id,
        announcement_id=announcement_id,
        edition=edition,
        teacher_id=teacher_id,
        day=day,
        is_read=is_read,
        after_role=after.role,
        after_family_name=after.family_name,
        after_given_name=after.given_name,
        after_id=after.recipient_id,
        limit=limit,
    )
