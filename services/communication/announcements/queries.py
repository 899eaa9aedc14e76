"""SQL over announcements, their frozen audiences and the queue of those that wait."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.communication.announcements.schemas import (
    AnnouncementRow,
    AnnouncementSummary,
    DueAnnouncement,
    Told,
)
from services.communication.audiences.queries import (
    AUDIENCE,
    CHILD_OF_AUTHORS_CLASSES,
    OF_AUTHORS_CLASSES,
    PRESENT,
    parameters,
)
from services.communication.audiences.schemas import Author, Reach
from shared.database import Reader, Tx

COLUMNS: LiteralString = """
announcement_id, author_user_id, author_role, author_person_id, title, body, audience, is_urgent, state, hold_reason,
send_at_local, send_at, pinned_until, expires_at, edition, next_part, parts, version, created_at, edited_at, sent_by,
sent_at, withdrawn_at, traceparent
"""

ADD_ANNOUNCEMENT: LiteralString = (
    "INSERT INTO announcement (school_id, "
    + COLUMNS
    + """)
VALUES (
    %(school_id)s, %(announcement_id)s, %(author_user_id)s, %(author_role)s, %(author_person_id)s, %(title)s, %(body)s,
    %(audience)s::jsonb, %(is_urgent)s, %(state)s, %(hold_reason)s, %(send_at_local)s, %(send_at)s, %(pinned_until)s,
    %(expires_at)s, %(edition)s, %(next_part)s, %(parts)s, %(version)s, %(created_at)s, %(edited_at)s, %(sent_by)s,
    %(sent_at)s, %(withdrawn_at)s, %(traceparent)s
)
"""
)

SAVE_ANNOUNCEMENT: LiteralString = """
UPDATE announcement
SET title = %(title)s, body = %(body)s, audience = %(audience)s::jsonb, is_urgent = %(is_urgent)s, state = %(state)s,
    hold_reason = %(hold_reason)s, send_at_local = %(send_at_local)s, send_at = %(send_at)s,
    pinned_until = %(pinned_until)s, expires_at = %(expires_at)s, edition = %(edition)s, next_part = %(next_part)s,
    parts = %(parts)s, version = %(version)s, edited_at = %(edited_at)s, sent_by = %(sent_by)s, sent_at = %(sent_at)s,
    withdrawn_at = %(withdrawn_at)s, traceparent = %(traceparent)s
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
"""


async def add_announcement(tx: Tx, *, school_id: UUID, row: AnnouncementRow) -> None:
    await tx.execute(ADD_ANNOUNCEMENT, school_id=school_id, **_fields(row))


async def save_announcement(tx: Tx, *, school_id: UUID, row: AnnouncementRow) -> None:
    """Save one that this transaction has locked."""
    await tx.execute(SAVE_ANNOUNCEMENT, school_id=school_id, **_fields(row))


def _fields(row: AnnouncementRow) -> dict[str, object]:
    return {**msgspec.structs.asdict(row), "audience": msgspec.json.encode(row.audience).decode()}


ANNOUNCEMENT: LiteralString = (
    "SELECT "
    + COLUMNS
    + """
FROM announcement
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
"""
)

LOCK_ANNOUNCEMENT: LiteralString = ANNOUNCEMENT + "FOR UPDATE"

# The worker waits for nobody: who has the announcement in hand may be waiting for its row of the queue.
TAKE_ANNOUNCEMENT: LiteralString = ANNOUNCEMENT + "FOR UPDATE SKIP LOCKED"


async def announcement(reader: Reader, *, school_id: UUID, announcement_id: UUID) -> AnnouncementRow | None:
    return await reader.one(AnnouncementRow, ANNOUNCEMENT, school_id=school_id, announcement_id=announcement_id)


async def locked_announcement(tx: Tx, *, school_id: UUID, announcement_id: UUID) -> AnnouncementRow | None:
    """Nobody else moves it until the transaction ends."""
    return await tx.one(AnnouncementRow, LOCK_ANNOUNCEMENT, school_id=school_id, announcement_id=announcement_id)


async def taken_announcement(tx: Tx, *, school_id: UUID, announcement_id: UUID) -> AnnouncementRow | None:
    """As `locked_announcement`; None when it is in somebody's hands."""
    return await tx.one(AnnouncementRow, TAKE_ANNOUNCEMENT, school_id=school_id, announcement_id=announcement_id)


# The newest first; uses announcement_pkey, and announcement_author for those of one author.
WRITTEN = """
SELECT announcement_id, author_user_id, author_role, title, state, hold_reason, is_urgent, send_at, pinned_until,
       expires_at, sent_at, version
FROM announcement
WHERE school_id = %(school_id)s
AND (%(author_user_id)s::uuid IS NULL OR (author_user_id = %(author_user_id)s AND author_role = 'teacher'))
AND (%(state)s::text IS NULL OR state = %(state)s)
AND (%(before)s::uuid IS NULL OR announcement_id < %(before)s)
ORDER BY announcement_id DESC
LIMIT %(limit)s
"""


async def written(
    reader: Reader, *, school_id: UUID, teacher_user_id: UUID | None, state: str | None, before: UUID | None, limit: int
) -> list[AnnouncementSummary]:
    """Of a school, or of one teacher of it."""
    return await reader.all(
        AnnouncementSummary,
        WRITTEN,
        school_id=school_id,
        author_user_id=teacher_user_id,
        state=state,
        before=before,
        limit=limit,
    )


SCHEDULED: LiteralString = (
    "SELECT "
    + COLUMNS
    + """
FROM announcement
WHERE school_id = %(school_id)s
AND state = 'scheduled'
AND send_at_local IS NOT NULL
ORDER BY announcement_id
LIMIT 10000
FOR UPDATE
"""
)


async def locked_scheduled(tx: Tx, *, school_id: UUID) -> list[AnnouncementRow]:
    """Those that wait for a time of the school's clock."""
    return await tx.all(AnnouncementRow, SCHEDULED, school_id=school_id)


# One statement resolves the audience and keeps it: what comes about after it, changes nothing of it.
FREEZE: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
INSERT INTO announcement_recipient (school_id, announcement_id, recipient_id, role, student_ids, part, sent_at)
SELECT %(school_id)s, %(announcement_id)s, recipient.recipient_id, recipient.role, recipient.student_ids,
       (row_number() OVER (ORDER BY recipient.recipient_id) - 1) / %(part_size)s::int + 1, %(now)s
FROM recipient
"""
)


async def freeze(
    tx: Tx,
    *,
    school_id: UUID,
    announcement_id: UUID,
    author: Author,
    reach: Reach,
    exclude: list[UUID],
    day: date,
    part_size: int,
    now: datetime,
) -> int:
    """Keep the audience as it is now, in numbered parts; how many they are."""
    return await tx.execute(
        FREEZE,
        school_id=school_id,
        announcement_id=announcement_id,
        **parameters(author, reach, exclude=exclude, day=day),
        part_size=part_size,
        now=now,
    )


# Whether a `recipient` is not known to have left. Who runs the school is known by their memberships.
STILL_THERE: LiteralString = """
CASE recipient.role
    WHEN 'student' THEN NOT EXISTS (
        SELECT FROM student
        WHERE student.school_id = %(school_id)s AND student.student_id = recipient.recipient_id
        AND NOT student.is_active
    )
    WHEN 'guardian' THEN NOT EXISTS (
        SELECT FROM guardian
        WHERE guardian.school_id = %(school_id)s AND guardian.guardian_id = recipient.recipient_id
        AND NOT guardian.is_active
    )
    WHEN 'teacher' THEN NOT EXISTS (
        SELECT FROM teacher
        WHERE teacher.school_id = %(school_id)s AND teacher.teacher_id = recipient.recipient_id
        AND NOT teacher.is_active
    )
    ELSE EXISTS (
        SELECT FROM membership
        WHERE membership.school_id = %(school_id)s AND membership.user_id = recipient.recipient_id
        AND membership.role = 'school_admin' AND membership.is_active
    )
END
"""

# A guardian hears of it for the children that they may see on the day, and no more when there are none; a teacher tells
# those of their classes only; who is known to have left is told nothing, nor is their family for them. Uses
# announcement_recipient_part and guardian_link_guardian.
PART: LiteralString = (
    "WITH "
    + PRESENT
    + """
SELECT recipient.recipient_id, recipient.role, coalesce(seen.student_ids, '{}') AS student_ids
FROM announcement_recipient AS recipient
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT link.student_id ORDER BY link.student_id) AS student_ids
    FROM guardian_link AS link
    CROSS JOIN LATERAL (SELECT link.student_id) AS child
    LEFT JOIN student ON student.school_id = link.school_id AND student.student_id = link.student_id
    WHERE link.school_id = %(school_id)s
    AND link.guardian_id = recipient.recipient_id
    AND link.student_id = ANY(recipient.student_ids)
    AND link.is_active
    AND link.may_see
    AND (link.starts_on IS NULL OR link.starts_on <= %(day)s)
    AND (link.ends_on IS NULL OR link.ends_on >= %(day)s)
    AND coalesce(student.is_active, true)
    AND """
    + CHILD_OF_AUTHORS_CLASSES
    + """
) AS seen ON recipient.role = 'guardian'
WHERE recipient.school_id = %(school_id)s
AND recipient.announcement_id = %(announcement_id)s
AND recipient.part = %(part)s
AND (recipient.role <> 'guardian' OR seen.student_ids IS NOT NULL)
AND """
    + OF_AUTHORS_CLASSES
    + "AND "
    + STILL_THERE
    + """
ORDER BY recipient.recipient_id
LIMIT 1000
"""
)


async def part(tx: Tx, *, school_id: UUID, announcement_id: UUID, author: Author, number: int, day: date) -> list[Told]:
    return await tx.all(
        Told,
        PART,
        school_id=school_id,
        announcement_id=announcement_id,
        teacher_id=author.teacher_id,
        part=number,
        day=day,
    )


AWAIT_ANNOUNCEMENT: LiteralString = """
INSERT INTO announcement_due (school_id, announcement_id, due_at)
VALUES (%(school_id)s, %(announcement_id)s, %(due_at)s)
ON CONFLICT (school_id, announcement_id) DO UPDATE
SET due_at = excluded.due_at
"""

FORGET_ANNOUNCEMENT: LiteralString = """
DELETE FROM announcement_due
WHERE school_id = %(school_id)s
AND announcement_id = %(announcement_id)s
"""


async def await_announcement(tx: Tx, *, school_id: UUID, announcement_id: UUID, due_at: datetime) -> None:
    await tx.execute(AWAIT_ANNOUNCEMENT, school_id=school_id, announcement_id=announcement_id, due_at=due_at)


async def await_announcements(tx: Tx, *, school_id: UUID, rows: Sequence[AnnouncementRow]) -> None:
    await tx.execute_many(
        AWAIT_ANNOUNCEMENT,
        [{"school_id": school_id, "announcement_id": row.announcement_id, "due_at": row.send_at} for row in rows],
    )


async def forget_announcement(tx: Tx, *, school_id: UUID, announcement_id: UUID) -> None:
    await tx.execute(FORGET_ANNOUNCEMENT, school_id=school_id, announcement_id=announcement_id)


# Uses announcement_due_at.
CLAIM_DUE: LiteralString = """
-- unscoped: what is due at any school; ids only
SELECT school_id, announcement_id
FROM announcement_due
WHERE due_at <= %(now)s
ORDER BY due_at, school_id, announcement_id
LIMIT 1
FOR UPDATE SKIP LOCKED
"""


async def claim_due(tx: Tx, *, now: datetime) -> DueAnnouncement | None:
    """One that is due and in nobody else's hands; ours until the transaction ends."""
    return await tx.one(DueAnnouncement, CLAIM_DUE, now=now)
