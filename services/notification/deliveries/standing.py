"""What has become of a mail's reason since it was queued: asked again before each attempt."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.deliveries import rules
from services.notification.deliveries.schemas import Attempt, Standing
from services.notification.roster import queries as roster
from shared.database import Tx

# The `alert` that a correction corrects.
CORRECTED: LiteralString = """
FROM notification AS correction
JOIN notification AS alert
  ON alert.school_id = correction.school_id
 AND alert.idempotency_key = correction.idempotency_key
 AND alert.recipient_person_id = correction.recipient_person_id
 AND alert.category = 'absence_alert'
"""
OF_CORRECTION: LiteralString = """
WHERE correction.school_id = %(school_id)s
  AND correction.notification_id = %(notification_id)s
FOR UPDATE OF delivery
"""

# Locks the alert's own delivery: a sender that has it in hand must have said so before we judge whether it was tried.
LOCK_TRIED_ALERT: LiteralString = (
    "SELECT delivery.attempts > 0"
    + CORRECTED
    + """
JOIN delivery
  ON delivery.school_id = alert.school_id
 AND delivery.notification_id = alert.notification_id
"""
    + OF_CORRECTION
)


# Of an alert that went into a digest: a digest that still waits leaves it out, as it is corrected.
LOCK_TRIED_DIGEST: LiteralString = (
    "SELECT delivery.attempts > 0"
    + CORRECTED
    + """
JOIN digest_item AS item
  ON item.school_id = alert.school_id
 AND item.recipient_id = alert.recipient_person_id
 AND item.notification_id = alert.notification_id
JOIN digest
  ON digest.school_id = item.school_id
 AND digest.recipient_id = item.recipient_id
 AND digest.day = item.day
JOIN delivery
  ON delivery.school_id = digest.school_id
 AND delivery.delivery_id = digest.delivery_id
"""
    + OF_CORRECTION
)


async def was_alert_tried(tx: Tx, school_id: UUID, notification_id: UUID | None) -> bool:
    """By a mail of its own, or in a digest."""
    correction = {"school_id": school_id, "notification_id": notification_id}
    return bool(await tx.value(bool, LOCK_TRIED_ALERT, **correction)) or bool(
        await tx.value(bool, LOCK_TRIED_DIGEST, **correction)
    )


STANDING: LiteralString = """
SELECT EXISTS (
    SELECT FROM guardian_link AS link
    JOIN guardian
      ON guardian.school_id = link.school_id
     AND guardian.guardian_id = link.guardian_id
    LEFT JOIN school ON school.school_id = link.school_id
    CROSS JOIN LATERAL (
        SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
    ) AS calendar
    WHERE link.school_id = %(school_id)s
      AND link.student_id = %(student_id)s
      AND link.guardian_id = %(recipient_person_id)s
      AND link.is_active
      AND link.may_see
      AND (link.receives_alerts OR %(category)s <> 'absence_alert')
      AND coalesce(link.starts_on <= %(day)s, true)
      AND coalesce(link.ends_on >= greatest(%(day)s, calendar.today), true)
      AND guardian.is_active
) AS is_linked,
EXISTS (
    SELECT FROM notification AS alert
    JOIN notification AS correction
      ON correction.school_id = alert.school_id
     AND correction.idempotency_key = alert.idempotency_key
     AND correction.recipient_person_id = alert.recipient_person_id
     AND correction.category = 'absence_correction'
    WHERE alert.school_id = %(school_id)s
      AND alert.notification_id = %(notification_id)s
      AND alert.category = 'absence_alert'
) AS is_corrected
"""


# Uses notification_pkey, notification_subject_recipient and guardian_link_guardian. Only a link that is known can say
# that somebody is no longer to hear of a child; one that is not known may have been overtaken.
NOTICE_STANDING: LiteralString = """
SELECT notification.withdrawn_at IS NOT NULL AS is_withdrawn,
coalesce(notification.expires_at <= %(now)s, false) AS is_over,
EXISTS (
    SELECT FROM notification AS later
    WHERE later.school_id = notification.school_id
      AND later.subject_id = notification.subject_id
      AND later.recipient_person_id = notification.recipient_person_id
      AND later.category = notification.category
      AND later.edition > coalesce(notification.edition, 0)
) AS is_superseded,
sight.is_linked,
NOT sight.is_linked AND notification.created_at > %(awaited_since)s AND EXISTS (
    SELECT FROM unnest(array_append(notification.student_ids, notification.student_id)) AS child (student_id)
    WHERE child.student_id IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM guardian_link AS link
          WHERE link.school_id = notification.school_id
            AND link.student_id = child.student_id
            AND link.guardian_id = notification.recipient_person_id
      )
) AS is_awaited
FROM notification
CROSS JOIN LATERAL (
    SELECT (notification.student_id IS NULL AND cardinality(notification.student_ids) = 0) OR EXISTS (
        SELECT FROM guardian_link AS link
        LEFT JOIN school ON school.school_id = link.school_id
        CROSS JOIN LATERAL (
            SELECT (%(now)s::timestamptz AT TIME ZONE coalesce(school.time_zone, 'UTC'))::date AS today
        ) AS calendar
        WHERE link.school_id = notification.school_id
          AND link.student_id = ANY(array_append(notification.student_ids, notification.student_id))
          AND link.guardian_id = notification.recipient_person_id
          AND link.is_active
          AND link.may_see
          AND coalesce(link.starts_on <= calendar.today, true)
          AND coalesce(link.ends_on >= calendar.today, true)
    ) AS is_linked
) AS sight
WHERE notification.school_id = %(school_id)s
  AND notification.notification_id = %(notification_id)s
"""


# Uses the keys of people, and membership_person. Who is not known is taken to be there.
IS_GONE: LiteralString = """
SELECT EXISTS (
    SELECT FROM guardian
    WHERE school_id = %(school_id)s AND guardian_id = %(recipient_id)s AND NOT is_active
    UNION ALL
    SELECT FROM teacher
    WHERE school_id = %(school_id)s AND teacher_id = %(recipient_id)s AND NOT is_active
    UNION ALL
    SELECT FROM student
    WHERE school_id = %(school_id)s AND student_id = %(recipient_id)s AND NOT is_active
    UNION ALL
    SELECT FROM membership
    WHERE school_id = %(school_id)s AND person_id IS NULL AND user_id = %(recipient_id)s
    HAVING NOT bool_or(is_active)
)
"""


async def standing(tx: Tx, school_id: UUID, attempt: Attempt, *, now: datetime) -> Standing:
    """What has become of the recipient, their children and what is told since the mail was queued."""
    if attempt.category in {"absence_alert", "absence_correction"}:
        return await _standing_of_absence(tx, school_id, attempt, now=now)
    found = Standing()
    if attempt.notification_id is not None:
        notice = await tx.one(
            Standing,
            NOTICE_STANDING,
            school_id=school_id,
            notification_id=attempt.notification_id,
            now=now,
            awaited_since=now - rules.AWAITED_FOR,
        )
        assert notice is not None
        found = notice
    gone = await tx.value(bool, IS_GONE, school_id=school_id, recipient_id=attempt.recipient_person_id)
    is_awaited = found.is_awaited or await _is_recipient_awaited(tx, school_id, attempt, now=now)
    return msgspec.structs.replace(found, is_gone=bool(gone), is_awaited=is_awaited)


async def _is_recipient_awaited(tx: Tx, school_id: UUID, attempt: Attempt, *, now: datetime) -> bool:
    recipient_id = attempt.recipient_person_id
    if attempt.address or recipient_id is None or attempt.created_at <= now - rules.AWAITED_FOR:
        return False
    return recipient_id not in await roster.contacts(tx, school_id, [recipient_id])


async def _standing_of_absence(tx: Tx, school_id: UUID, attempt: Attempt, *, now: datetime) -> Standing:
    found = await tx.one(
        Standing,
        STANDING,
        school_id=school_id,
        student_id=attempt.student_id,
        recipient_person_id=attempt.recipient_person_id,
        day=attempt.day,
        category=attempt.category,
        notification_id=attempt.notification_id,
        now=now,
    )
    assert found is not None
    return found
