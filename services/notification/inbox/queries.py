"""The inbox of one person.

A guardian sees what is about a child only while a link to the child is in force and lets them see: after that, what
was told earlier is out of sight too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.inbox.schemas import Category, NewNotification, Notification, Told
from shared.database import Reader, Tx

ADD_NOTIFICATION: LiteralString = """
INSERT INTO notification (
    school_id, notification_id, recipient_person_id, student_id, category, idempotency_key,
    title, body, deep_link, created_at
)
VALUES (
    %(school_id)s, %(notification_id)s, %(recipient_person_id)s, %(student_id)s, %(category)s, %(idempotency_key)s,
    %(title)s, %(body)s, %(deep_link)s, %(created_at)s
)
"""


async def add_notifications(tx: Tx, school_id: UUID, notifications: Sequence[NewNotification]) -> None:
    """A second one with the same key for the same person violates the unique key, and undoes the transaction."""
    rows = [{"school_id": school_id, **msgspec.structs.asdict(each)} for each in notifications]
    await tx.execute_many(ADD_NOTIFICATION, rows)


# Uses the unique key.
RECIPIENTS: LiteralString = """
SELECT recipient_person_id
FROM notification
WHERE school_id = %(school_id)s
  AND idempotency_key = %(idempotency_key)s
  AND category = %(category)s
ORDER BY recipient_person_id
LIMIT 1000
"""


async def recipients(reader: Reader, school_id: UUID, *, idempotency_key: str, category: Category) -> list[UUID]:
    """Who was told."""
    found = await reader.all(Told, RECIPIENTS, school_id=school_id, idempotency_key=idempotency_key, category=category)
    return [each.recipient_person_id for each in found]


# Part of every statement that a reader's eyes depend on; uses guardian_link_student.
IN_SIGHT: LiteralString = """
  notification.school_id = %(school_id)s
  AND notification.recipient_person_id = %(person_id)s
  AND (notification.student_id IS NULL OR EXISTS (
      SELECT FROM guardian_link AS link
      LEFT JOIN school ON school.school_id = link.school_id
      CROSS JOIN LATERAL (
          SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
      ) AS calendar
      WHERE link.school_id = %(school_id)s
        AND link.student_id = notification.student_id
        AND link.guardian_id = notification.recipient_person_id
        AND link.is_active
        AND link.may_see
        AND coalesce(link.starts_on <= calendar.today, true)
        AND coalesce(link.ends_on >= calendar.today, true)
  ))
"""

# Newest first; uses notification_inbox.
INBOX: LiteralString = (
    """
SELECT notification_id, student_id, category, title, body, deep_link, created_at, read_at
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND (NOT %(unread_only)s OR NOT is_read)
  AND (%(student_id)s::uuid IS NULL OR student_id = %(student_id)s)
  AND (%(before)s::uuid IS NULL OR notification_id < %(before)s)
ORDER BY notification_id DESC
LIMIT %(limit)s
"""
)


async def inbox(
    reader: Reader,
    school_id: UUID,
    *,
    person_id: UUID,
    now: datetime,
    unread_only: bool,
    student_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[Notification]:
    return await reader.all(
        Notification,
        INBOX,
        school_id=school_id,
        person_id=person_id,
        now=now,
        unread_only=unread_only,
        student_id=student_id,
        before=before,
        limit=limit,
    )


# Oldest first; uses notification_inbox.
INBOX_SINCE: LiteralString = (
    """
SELECT notification_id, student_id, category, title, body, deep_link, created_at, read_at
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND notification_id > %(after)s
ORDER BY notification_id
LIMIT %(limit)s
"""
)


async def inbox_since(
    reader: Reader, school_id: UUID, *, person_id: UUID, now: datetime, after: UUID, limit: int
) -> list[Notification]:
    return await reader.all(
        Notification, INBOX_SINCE, school_id=school_id, person_id=person_id, now=now, after=after, limit=limit
    )


ONE: LiteralString = (
    """
SELECT notification_id, student_id, category, title, body, deep_link, created_at, read_at
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND notification_id = %(notification_id)s
"""
)


async def one_notification(
    reader: Reader, school_id: UUID, *, person_id: UUID, now: datetime, notification_id: UUID
) -> Notification | None:
    return await reader.one(
        Notification, ONE, school_id=school_id, person_id=person_id, now=now, notification_id=notification_id
    )


# Uses notification_unread.
UNREAD_COUNT: LiteralString = (
    """
SELECT count(*)
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND NOT is_read
"""
)


async def unread_count(reader: Reader, school_id: UUID, *, person_id: UUID, now: datetime) -> int:
    return await reader.value(int, UNREAD_COUNT, school_id=school_id, person_id=person_id, now=now) or 0


MARK_READ: LiteralString = (
    """
UPDATE notification
SET read_at = %(now)s
WHERE """
    + IN_SIGHT
    + """
  AND NOT is_read
  AND (%(notification_id)s::uuid IS NULL OR notification_id = %(notification_id)s)
"""
)


async def mark_read(tx: Tx, school_id: UUID, *, person_id: UUID, now: datetime, notification_id: UUID | None) -> int:
    """Mark one, or all when None; how many were unread."""
    return await tx.execute(
        MARK_READ, school_id=school_id, person_id=person_id, now=now, notification_id=notification_id
    )
