"""The inbox of one person.

A guardian sees what is about a child only while a link to the child is in force and lets them see: after that, what
was told earlier is out of sight too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.inbox.schemas import Added, Category, NewNotification, Notification, Told, Withdrawn
from shared.database import Reader, Tx

# In the order of the unique key, so that two who tell the same at once wait for each other and never in a circle.
ADD_NOTIFICATIONS: LiteralString = """
INSERT INTO notification (
    school_id, notification_id, recipient_person_id, student_id, student_ids, subject_id, category, idempotency_key,
    title, body, deep_link, created_at, in_app, edition, expires_at
)
SELECT %(school_id)s, notification_id, recipient_person_id,
       CASE WHEN cardinality(student_ids) = 1 THEN student_ids[1] END, student_ids, subject_id, category,
       idempotency_key, title, body, deep_link, created_at, in_app, edition, expires_at
FROM json_to_recordset(%(rows)s::json) AS told (
    notification_id uuid, recipient_person_id uuid, student_ids uuid [], subject_id uuid, category text,
    idempotency_key text, title text, body text, deep_link text, created_at timestamptz, in_app boolean, edition int,
    expires_at timestamptz
)
ORDER BY idempotency_key, category, recipient_person_id
ON CONFLICT (school_id, idempotency_key, category, recipient_person_id) DO NOTHING
RETURNING notification_id
"""


async def add_notifications(tx: Tx, school_id: UUID, notifications: Sequence[NewNotification]) -> set[UUID]:
    """The ids of those that are new: who was told the same already is not told again."""
    rows = msgspec.json.encode(notifications).decode()
    added = await tx.all(Added, ADD_NOTIFICATIONS, school_id=school_id, rows=rows)
    return {each.notification_id for each in added}


# Uses the unique key.
RECIPIENTS: LiteralString = """
SELECT recipient_person_id
FROM notification
WHERE school_id = %(school_id)s
  AND idempotency_key = %(idempotency_key)s
  AND category = %(category)s
ORDER BY recipient_person_id
LIMIT 10000
"""


async def recipients(reader: Reader, school_id: UUID, *, idempotency_key: str, category: Category) -> list[UUID]:
    """Who was told."""
    found = await reader.all(Told, RECIPIENTS, school_id=school_id, idempotency_key=idempotency_key, category=category)
    return [each.recipient_person_id for each in found]


# Part of every statement that a reader's eyes depend on; uses guardian_link_guardian.
IN_SIGHT: LiteralString = """
  notification.school_id = %(school_id)s
  AND notification.recipient_person_id = %(recipient_id)s
  AND notification.withdrawn_at IS NULL
  AND notification.in_app
  AND coalesce(notification.expires_at > %(now)s, true)
  AND (notification.student_id IS NULL AND cardinality(notification.student_ids) = 0 OR EXISTS (
      SELECT FROM guardian_link AS link
      LEFT JOIN school ON school.school_id = link.school_id
      CROSS JOIN LATERAL (
          SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
      ) AS calendar
      WHERE link.school_id = %(school_id)s
        AND link.student_id = ANY(array_append(notification.student_ids, notification.student_id))
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
SELECT notification_id, student_id, student_ids, category, title, body, deep_link, created_at, read_at
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND (NOT %(unread_only)s OR NOT is_read)
  AND (%(student_id)s::uuid IS NULL OR %(student_id)s = ANY(array_append(student_ids, student_id)))
  AND (%(before)s::uuid IS NULL OR notification_id < %(before)s)
ORDER BY notification_id DESC
LIMIT %(limit)s
"""
)


async def inbox(
    reader: Reader,
    school_id: UUID,
    *,
    recipient_id: UUID,
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
        recipient_id=recipient_id,
        now=now,
        unread_only=unread_only,
        student_id=student_id,
        before=before,
        limit=limit,
    )


# Oldest first; uses notification_inbox.
INBOX_SINCE: LiteralString = (
    """
SELECT notification_id, student_id, student_ids, category, title, body, deep_link, created_at, read_at
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
    reader: Reader, school_id: UUID, *, recipient_id: UUID, now: datetime, after: UUID, limit: int
) -> list[Notification]:
    return await reader.all(
        Notification, INBOX_SINCE, school_id=school_id, recipient_id=recipient_id, now=now, after=after, limit=limit
    )


ONE: LiteralString = (
    """
SELECT notification_id, student_id, student_ids, category, title, body, deep_link, created_at, read_at
FROM notification
WHERE """
    + IN_SIGHT
    + """
  AND notification_id = %(notification_id)s
"""
)


async def one_notification(
    reader: Reader, school_id: UUID, *, recipient_id: UUID, now: datetime, notification_id: UUID
) -> Notification | None:
    return await reader.one(
        Notification, ONE, school_id=school_id, recipient_id=recipient_id, now=now, notification_id=notification_id
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


async def unread_count(reader: Reader, school_id: UUID, *, recipient_id: UUID, now: datetime) -> int:
    return await reader.value(int, UNREAD_COUNT, school_id=school_id, recipient_id=recipient_id, now=now) or 0


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


async def mark_read(tx: Tx, school_id: UUID, *, recipient_id: UUID, now: datetime, notification_id: UUID | None) -> int:
    """Mark one, or all when None; how many were unread."""
    return await tx.execute(
        MARK_READ, school_id=school_id, recipient_id=recipient_id, now=now, notification_id=notification_id
    )


# Uses notification_subject_recipient.
WITHDRAW: LiteralString = """
UPDATE notification
SET withdrawn_at = %(now)s
WHERE school_id = %(school_id)s
  AND subject_id = %(subject_id)s
  AND category = ANY(%(categories)s)
  AND withdrawn_at IS NULL
RETURNING notification_id, recipient_person_id
"""


async def withdraw(
    tx: Tx, school_id: UUID, subject_id: UUID, categories: Sequence[Category], *, now: datetime
) -> list[Withdrawn]:
    """Take what was told of a subject out of all inboxes; what stood there until now."""
    return await tx.all(
        Withdrawn, WITHDRAW, school_id=school_id, subject_id=subject_id, categories=list(categories), now=now
    )


# Uses notification_subject_recipient.
REWRITE: LiteralString = """
UPDATE notification
SET title = %(title)s,
    body = %(body)s,
    expires_at = %(expires_at)s
WHERE school_id = %(school_id)s
  AND subject_id = %(subject_id)s
  AND category = %(category)s
  AND coalesce(edition, 0) <= %(edition)s
  AND withdrawn_at IS NULL
  AND (title, body, expires_at) IS DISTINCT FROM (%(title)s, %(body)s, %(expires_at)s::timestamptz)
RETURNING recipient_person_id
"""


async def rewrite(
    tx: Tx,
    school_id: UUID,
    subject_id: UUID,
    category: Category,
    *,
    edition: int,
    title: str,
    body: str,
    expires_at: datetime | None,
) -> list[Told]:
    """Make what was told of a subject, up to this edition, read like this, read or not; whose inboxes this changes."""
    return await tx.all(
        Told,
        REWRITE,
        school_id=school_id,
        subject_id=subject_id,
        category=category,
        edition=edition,
        title=title,
        body=body,
        expires_at=expires_at,
    )
