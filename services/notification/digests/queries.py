"""Digests and what was put into them."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.digests.schemas import Item, NewDigest, NewItem, Opened, Waiting
from shared.database import Reader, Tx

# In the order of the key: who opens the same digests at once waits, and never in a circle.
OPEN: LiteralString = """
INSERT INTO digest (school_id, recipient_id, day, delivery_id)
SELECT %(school_id)s, recipient_id, day, delivery_id
FROM json_to_recordset(%(rows)s::json) AS wanted (recipient_id uuid, day date, delivery_id uuid)
ORDER BY recipient_id, day
ON CONFLICT (school_id, recipient_id, day) DO NOTHING
RETURNING recipient_id
"""


async def open_digests(tx: Tx, school_id: UUID, wanted: Sequence[NewDigest]) -> set[UUID]:
    """Of the recipients those whose digest of that day did not exist; nobody else makes it from now on."""
    rows = msgspec.json.encode(wanted).decode()
    return {each.recipient_id for each in await tx.all(Opened, OPEN, school_id=school_id, rows=rows)}


# Locks the mails: a sender that has one in hand has said so by now, and what it wrote of can take nothing more.
STILL_OPEN: LiteralString = """
SELECT digest.recipient_id
FROM json_to_recordset(%(rows)s::json) AS wanted (recipient_id uuid, day date)
JOIN digest
  ON digest.school_id = %(school_id)s
 AND digest.recipient_id = wanted.recipient_id
 AND digest.day = wanted.day
JOIN delivery
  ON delivery.school_id = digest.school_id
 AND delivery.delivery_id = digest.delivery_id
WHERE delivery.state = 'queued'
  AND delivery.attempts = 0
ORDER BY digest.recipient_id
LIMIT 100000
FOR UPDATE OF delivery
"""


async def still_open(tx: Tx, school_id: UUID, wanted: Sequence[NewDigest]) -> set[UUID]:
    """Of the recipients those whose digest of that day was not begun to be sent; it is not until the tx ends."""
    rows = msgspec.json.encode(wanted).decode()
    return {each.recipient_id for each in await tx.all(Opened, STILL_OPEN, school_id=school_id, rows=rows)}


# Uses delivery_state and the key of digests by delivery.
WAITING: LiteralString = """
SELECT digest.delivery_id, digest.day
FROM delivery
JOIN digest
  ON digest.school_id = delivery.school_id
 AND digest.delivery_id = delivery.delivery_id
WHERE delivery.school_id = %(school_id)s
  AND delivery.state = 'queued'
  AND delivery.attempts = 0
  AND delivery.recipient_person_id = %(recipient_id)s
  AND delivery.category = 'digest'
ORDER BY digest.day
LIMIT 100
"""


async def waiting(reader: Reader, school_id: UUID, recipient_id: UUID) -> list[Waiting]:
    """The digests of one recipient that were not yet tried."""
    return await reader.all(Waiting, WAITING, school_id=school_id, recipient_id=recipient_id)


ADD_ITEMS: LiteralString = """
INSERT INTO digest_item (school_id, recipient_id, day, notification_id)
SELECT %(school_id)s, recipient_id, day, notification_id
FROM json_to_recordset(%(rows)s::json) AS item (recipient_id uuid, day date, notification_id uuid)
"""


async def add_items(tx: Tx, school_id: UUID, items: Sequence[NewItem]) -> None:
    await tx.execute(ADD_ITEMS, school_id=school_id, rows=msgspec.json.encode(items).decode())


# What stands in a digest, as `notification`.
TOLD: LiteralString = """
FROM digest
JOIN digest_item AS item
  ON item.school_id = digest.school_id
 AND item.recipient_id = digest.recipient_id
 AND item.day = digest.day
JOIN notification
  ON notification.school_id = item.school_id
 AND notification.notification_id = item.notification_id
"""

# What is still true and may still be seen; of an absence that was corrected before its digest went out, nothing, and of
# an announcement the last edition that its reader was told.
ITEMS: LiteralString = (
    """
SELECT notification.notification_id, notification.category, notification.student_ids, sight.in_sight,
       notification.title, notification.body, notification.deep_link, notification.created_at
"""
    + TOLD
    + """
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT DISTINCT link.student_id
        FROM guardian_link AS link
        LEFT JOIN school ON school.school_id = link.school_id
        CROSS JOIN LATERAL (
            SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
        ) AS calendar
        WHERE link.school_id = notification.school_id
          AND link.student_id = ANY(notification.student_ids)
          AND link.guardian_id = notification.recipient_person_id
          AND link.is_active
          AND link.may_see
          AND coalesce(link.starts_on <= calendar.today, true)
          AND coalesce(link.ends_on >= calendar.today, true)
    ) AS in_sight
) AS sight
WHERE digest.school_id = %(school_id)s
  AND digest.delivery_id = %(delivery_id)s
  AND notification.withdrawn_at IS NULL
  AND coalesce(notification.expires_at > %(now)s, true)
  AND NOT EXISTS (
      SELECT FROM notification AS later
      WHERE later.school_id = notification.school_id
        AND later.subject_id = notification.subject_id
        AND later.recipient_person_id = notification.recipient_person_id
        AND later.category = notification.category
        AND later.edition > coalesce(notification.edition, 0)
  )
  AND (cardinality(notification.student_ids) = 0 OR cardinality(sight.in_sight) > 0)
  AND NOT EXISTS (
      SELECT FROM notification AS correction
      WHERE correction.school_id = notification.school_id
        AND correction.idempotency_key = notification.idempotency_key
        AND correction.recipient_person_id = notification.recipient_person_id
        AND notification.category = 'absence_alert'
        AND correction.category = 'absence_correction'
  )
  AND NOT EXISTS (
      SELECT FROM notification AS alert
      JOIN digest_item AS same
        ON same.school_id = alert.school_id
       AND same.notification_id = alert.notification_id
       AND same.recipient_id = item.recipient_id
       AND same.day = item.day
      WHERE alert.school_id = notification.school_id
        AND alert.idempotency_key = notification.idempotency_key
        AND alert.recipient_person_id = notification.recipient_person_id
        AND alert.category = 'absence_alert'
        AND notification.category = 'absence_correction'
  )
ORDER BY notification.notification_id
LIMIT 1000
"""
)


async def items(reader: Reader, school_id: UUID, delivery_id: UUID, *, now: datetime) -> list[Item]:
    """What is to stand in the digest that this delivery is; oldest first."""
    return await reader.all(Item, ITEMS, school_id=school_id, delivery_id=delivery_id, now=now)


# Uses guardian_link_guardian. Of a child without any link: one that is known to have ended is not awaited.
IS_AWAITED: LiteralString = (
    """
SELECT EXISTS (
    SELECT
"""
    + TOLD
    + """
    CROSS JOIN LATERAL unnest(notification.student_ids) AS child (student_id)
    WHERE digest.school_id = %(school_id)s
      AND digest.delivery_id = %(delivery_id)s
      AND notification.withdrawn_at IS NULL
      AND notification.created_at > %(since)s
      AND NOT EXISTS (
          SELECT FROM guardian_link AS link
          WHERE link.school_id = notification.school_id
            AND link.student_id = child.student_id
            AND link.guardian_id = notification.recipient_person_id
      )
)
"""
)


async def is_awaited(reader: Reader, school_id: UUID, delivery_id: UUID, *, since: datetime) -> bool:
    """Whether something in the digest, told after `since`, is about a child of whom the reader's link is not known."""
    return bool(await reader.value(bool, IS_AWAITED, school_id=school_id, delivery_id=delivery_id, since=since))
