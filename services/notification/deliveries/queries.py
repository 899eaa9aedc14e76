"""Deliveries, their history, and the queue of those to be sent."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from services.notification.deliveries.schemas import (
    Attempt,
    Category,
    Delivery,
    DeliveryEvent,
    DeliveryRecord,
    DeliveryState,
    DueDelivery,
    Ended,
    NewDelivery,
    Outcome,
)
from shared.database import Reader, Tx

ADD_DELIVERIES: LiteralString = """
WITH added AS (
    INSERT INTO delivery (
        school_id, delivery_id, notification_id, category, recipient_person_id, recipient_name, student_id, day,
        channel, address, state, next_attempt_at, subject, body, sealed_code, expires_at, is_urgent, last_error,
        traceparent, created_at, updated_at
    )
    SELECT %(school_id)s, delivery_id, notification_id, category, recipient_person_id, recipient_name, student_id,
           day, 'email', address, state, next_attempt_at, subject, body, sealed_code, expires_at, is_urgent,
           last_error, traceparent, %(now)s, %(now)s
    FROM json_to_recordset(%(rows)s::json) AS queued (
        delivery_id uuid, notification_id uuid, category text, recipient_person_id uuid, recipient_name text,
        student_id uuid, day date, address text, state text, next_attempt_at timestamptz, subject text, body text,
        sealed_code text, expires_at timestamptz, is_urgent boolean, last_error text, traceparent text
    )
    ON CONFLICT (school_id, delivery_id) DO NOTHING
    RETURNING school_id, delivery_id, category, recipient_person_id, student_id, day, state, next_attempt_at,
              last_error
),
begun AS (
    INSERT INTO delivery_event (school_id, delivery_id, at, state, attempts, detail)
    SELECT school_id, delivery_id, %(now)s, state, 0, last_error FROM added
),
due AS (
    INSERT INTO delivery_due (school_id, delivery_id, due_at)
    SELECT school_id, delivery_id, next_attempt_at FROM added WHERE next_attempt_at IS NOT NULL
)
SELECT delivery_id, category, recipient_person_id, student_id, day, state
FROM added
WHERE next_attempt_at IS NULL
ORDER BY delivery_id
LIMIT 100000
"""


async def add_deliveries(
    tx: Tx, school_id: UUID, deliveries: Sequence[tuple[NewDelivery, Outcome]], *, now: datetime
) -> list[Ended]:
    """Put mails on their way, or on record as unreachable: these are returned. One that is there stays as it is."""
    rows = [
        {
            **msgspec.structs.asdict(delivery),
            "state": outcome.state,
            "next_attempt_at": outcome.next_attempt_at,
            "last_error": outcome.detail or None,
        }
        for delivery, outcome in deliveries
    ]
    encoded = msgspec.json.encode(rows).decode()
    return await tx.all(Ended, ADD_DELIVERIES, school_id=school_id, rows=encoded, now=now)


# Uses delivery_student.
IS_UNTOLD: LiteralString = """
SELECT EXISTS (
    SELECT FROM delivery
    WHERE school_id = %(school_id)s
      AND student_id = %(student_id)s
      AND day = %(day)s
      AND recipient_person_id IS NULL
)
"""


async def is_untold(reader: Reader, school_id: UUID, *, student_id: UUID | None, day: date | None) -> bool:
    """Whether it is on record that there was nobody to tell of this day."""
    return bool(await reader.value(bool, IS_UNTOLD, school_id=school_id, student_id=student_id, day=day))


# Uses delivery_due_at.
CLAIM_DUE_DELIVERY: LiteralString = """
-- unscoped: the next mail of any school; ids only
UPDATE delivery_due
SET due_at = %(leased_until)s
WHERE (school_id, delivery_id) = (
    SELECT school_id, delivery_id
    FROM delivery_due
    WHERE due_at <= %(now)s
    ORDER BY due_at, school_id, delivery_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING school_id, delivery_id
"""


async def claim_due_delivery(tx: Tx, *, now: datetime, leased_until: datetime) -> DueDelivery | None:
    """Take the next mail. Should we die with it in hand, it is due again when the lease ends."""
    return await tx.one(DueDelivery, CLAIM_DUE_DELIVERY, now=now, leased_until=leased_until)


LOCK_ATTEMPT: LiteralString = """
SELECT delivery.delivery_id, delivery.notification_id, delivery.category, delivery.recipient_person_id,
       delivery.recipient_name, delivery.student_id, delivery.day, coalesce(delivery.address, '') AS address,
       delivery.subject, delivery.body, delivery.sealed_code, delivery.expires_at, delivery.traceparent,
       delivery.created_at, delivery.attempts,
       coalesce(school.name, 'Homeroom') AS school_name, delivery.is_urgent,
       coalesce(notification.student_ids, '{}') AS student_ids
FROM delivery
LEFT JOIN notification
  ON notification.school_id = delivery.school_id
 AND notification.notification_id = delivery.notification_id
LEFT JOIN school ON school.school_id = delivery.school_id
WHERE delivery.school_id = %(school_id)s
  AND delivery.delivery_id = %(delivery_id)s
  AND delivery.state IN ('queued', 'retried')
FOR UPDATE OF delivery
"""


async def locked_attempt(tx: Tx, school_id: UUID, delivery_id: UUID) -> Attempt | None:
    """None when the delivery is over."""
    return await tx.one(Attempt, LOCK_ATTEMPT, school_id=school_id, delivery_id=delivery_id)


ADDRESS: LiteralString = """
UPDATE delivery
SET address = %(address)s,
    recipient_name = %(name)s
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
"""


async def address(tx: Tx, school_id: UUID, delivery_id: UUID, *, address: str, name: str) -> None:
    """Write on a mail where it goes by now."""
    await tx.execute(ADDRESS, school_id=school_id, delivery_id=delivery_id, address=address, name=name)


COUNT_ATTEMPT: LiteralString = """
UPDATE delivery
SET attempts = attempts + 1,
    updated_at = %(now)s
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
"""


async def count_attempt(tx: Tx, school_id: UUID, delivery_id: UUID, *, now: datetime) -> None:
    await tx.execute(COUNT_ATTEMPT, school_id=school_id, delivery_id=delivery_id, now=now)


# A sender that comes back after its lease ended finds another number of attempts, and changes nothing.
SETTLE: LiteralString = """
WITH settled AS (
    UPDATE delivery
    SET state = %(state)s,
        next_attempt_at = %(next_attempt_at)s,
        sealed_code = CASE WHEN %(next_attempt_at)s::timestamptz IS NULL THEN NULL ELSE sealed_code END,
        provider_answer = CASE WHEN %(state)s = 'sent' THEN %(detail)s ELSE provider_answer END,
        last_error = CASE WHEN %(state)s = 'sent' THEN last_error ELSE %(detail)s END,
        updated_at = %(now)s
    WHERE school_id = %(school_id)s
      AND delivery_id = %(delivery_id)s
      AND attempts = %(attempts)s
      AND state IN ('queued', 'retried')
    RETURNING school_id, delivery_id, state, attempts
)
INSERT INTO delivery_event (school_id, delivery_id, at, state, attempts, detail)
SELECT school_id, delivery_id, %(now)s, state, attempts, %(detail)s FROM settled
"""


async def settle(tx: Tx, school_id: UUID, delivery_id: UUID, outcome: Outcome, *, attempts: int, now: datetime) -> bool:
    """False for an attempt that somebody else has taken over in the meantime."""
    settled = await tx.execute(
        SETTLE,
        school_id=school_id,
        delivery_id=delivery_id,
        attempts=attempts,
        state=outcome.state,
        next_attempt_at=outcome.next_attempt_at,
        detail=outcome.detail,
        now=now,
    )
    return settled > 0


# Follows what the delivery now says, whoever settled it.
FOLLOW_IN_QUEUE: LiteralString = """
WITH moved AS (
    UPDATE delivery_due
    SET due_at = delivery.next_attempt_at
    FROM delivery
    WHERE delivery.school_id = %(school_id)s
      AND delivery.delivery_id = %(delivery_id)s
      AND delivery.next_attempt_at IS NOT NULL
      AND delivery_due.school_id = delivery.school_id
      AND delivery_due.delivery_id = delivery.delivery_id
    RETURNING delivery_due.delivery_id
)
DELETE FROM delivery_due
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
  AND NOT EXISTS (SELECT FROM moved)
"""


async def follow_in_queue(tx: Tx, school_id: UUID, delivery_id: UUID) -> None:
    """Due at the next attempt, or not at all any more."""
    await tx.execute(FOLLOW_IN_QUEUE, school_id=school_id, delivery_id=delivery_id)


# Newest first; uses delivery_pkey, delivery_state, delivery_student or delivery_day. A narrowing that is not asked for
# is not in the statement: with "null lets all pass" the planner can use none of them.
DELIVERIES: LiteralString = """
SELECT delivery_id, category, channel, recipient_person_id, recipient_name, student_id, day, state, attempts,
       next_attempt_at, last_error, created_at, updated_at
FROM delivery
WHERE school_id = %(school_id)s
"""
NARROWED_BY: Final[Mapping[str, LiteralString]] = {
    "state": "  AND state = %(state)s",
    "states": "  AND state = ANY(%(states)s)",
    "student_id": "  AND student_id = %(student_id)s",
    "day": "  AND day = %(day)s",
    "before": "  AND delivery_id < %(before)s",
}
NEWEST_FIRST: LiteralString = """
ORDER BY delivery_id DESC
LIMIT %(limit)s
"""


async def deliveries(
    reader: Reader,
    school_id: UUID,
    *,
    states: Sequence[DeliveryState] | None,
    student_id: UUID | None,
    day: date | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    several = list(states or ())
    asked = {
        # Of one state the index knows the newest.
        "state": several[0] if len(several) == 1 else None,
        "states": several if len(several) > 1 else None,
        "student_id": student_id,
        "day": day,
        "before": before,
    }
    narrowed: list[LiteralString] = [narrowing for name, narrowing in NARROWED_BY.items() if asked[name] is not None]
    statement = "\n".join((DELIVERIES, *narrowed, NEWEST_FIRST))
    return await reader.all(Delivery, statement, school_id=school_id, limit=limit, **asked)


DELIVERY: LiteralString = """
SELECT delivery_id, category, channel, recipient_person_id, recipient_name, student_id, day, state, attempts,
       next_attempt_at, last_error, created_at, updated_at, address, provider_answer
FROM delivery
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
"""


async def delivery(reader: Reader, school_id: UUID, delivery_id: UUID) -> DeliveryRecord | None:
    return await reader.one(DeliveryRecord, DELIVERY, school_id=school_id, delivery_id=delivery_id)


DELIVERY_EVENTS: LiteralString = """
SELECT at, state, attempts, detail
FROM delivery_event
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
ORDER BY at, attempts
LIMIT 100
"""


async def delivery_events(reader: Reader, school_id: UUID, delivery_id: UUID) -> list[DeliveryEvent]:
    return await reader.all(DeliveryEvent, DELIVERY_EVENTS, school_id=school_id, delivery_id=delivery_id)


# Uses delivery_notification.
UNTRIED_OF: LiteralString = """
SELECT school_id, delivery_id
FROM delivery
WHERE school_id = %(school_id)s
  AND notification_id = ANY(%(notification_ids)s)
  AND state = 'queued'
  AND attempts = 0
ORDER BY delivery_id
LIMIT 100000
"""


async def untried_of(reader: Reader, school_id: UUID, notification_ids: Sequence[UUID]) -> list[UUID]:
    """The mails of these notifications that were not yet tried."""
    found = await reader.all(DueDelivery, UNTRIED_OF, school_id=school_id, notification_ids=list(notification_ids))
    return [each.delivery_id for each in found]


# Uses delivery_state. Not digests: they have their hour.
UNTRIED_FOR: LiteralString = """
SELECT school_id, delivery_id
FROM delivery
WHERE school_id = %(school_id)s
  AND state = 'queued'
  AND attempts = 0
  AND recipient_person_id = %(recipient_id)s
  AND category <> 'digest'
ORDER BY delivery_id
LIMIT 100000
"""


async def untried_for(reader: Reader, school_id: UUID, recipient_id: UUID) -> list[UUID]:
    """What waits for one recipient and was not yet tried."""
    found = await reader.all(DueDelivery, UNTRIED_FOR, school_id=school_id, recipient_id=recipient_id)
    return [each.delivery_id for each in found]


# In the order of the key: who moves the same at once waits, and never in a circle.
LOCK_IN_QUEUE: LiteralString = """
SELECT school_id, delivery_id
FROM delivery_due
WHERE school_id = %(school_id)s
  AND delivery_id = ANY(%(delivery_ids)s)
ORDER BY delivery_id
LIMIT 100000
FOR UPDATE
"""


async def lock_in_queue(tx: Tx, school_id: UUID, delivery_ids: Sequence[UUID]) -> None:
    """No sender takes these until the tx ends; one that had taken them has counted its attempt by now."""
    await tx.all(DueDelivery, LOCK_IN_QUEUE, school_id=school_id, delivery_ids=list(delivery_ids))


MOVE: LiteralString = """
UPDATE delivery_due
SET due_at = wanted.due_at
FROM json_to_recordset(%(rows)s::json) AS wanted (delivery_id uuid, due_at timestamptz)
JOIN delivery
  ON delivery.school_id = %(school_id)s
 AND delivery.delivery_id = wanted.delivery_id
WHERE delivery_due.school_id = %(school_id)s
  AND delivery_due.delivery_id = wanted.delivery_id
  AND greatest(delivery_due.due_at, %(now)s) <> greatest(wanted.due_at, %(now)s)
  AND delivery.state = 'queued'
  AND delivery.attempts = 0
"""


async def move(tx: Tx, school_id: UUID, due: Mapping[UUID, datetime], *, now: datetime) -> None:
    """Let a sender look at each of these then, earlier or later, if it was not yet tried.

    What a sender has in hand stays where it is, which is the end of its lease. So whether it was tried is asked by a
    statement of its own, that begins once the queue is locked. Only the queue: senders lock a delivery after its row
    there, or before it when they are done.
    """
    await lock_in_queue(tx, school_id, list(due))
    rows = [{"delivery_id": delivery_id, "due_at": due_at} for delivery_id, due_at in due.items()]
    await tx.execute(MOVE, school_id=school_id, rows=msgspec.json.encode(rows).decode(), now=now)


HOLD: LiteralString = """
UPDATE delivery
SET next_attempt_at = %(until)s,
    updated_at = %(now)s
WHERE school_id = %(school_id)s
  AND delivery_id = %(delivery_id)s
"""


async def hold(tx: Tx, school_id: UUID, delivery_id: UUID, *, until: datetime, now: datetime) -> None:
    """Put off what waits, without an attempt."""
    await tx.execute(HOLD, school_id=school_id, delivery_id=delivery_id, until=until, now=now)


# Uses notification_subject_recipient and delivery_notification. Waits for a sender that has one in hand.
REWRITE: LiteralString = """
UPDATE delivery
SET subject = %(subject)s,
    body = %(body)s,
    updated_at = %(now)s
FROM notification
WHERE notification.school_id = %(school_id)s
  AND notification.subject_id = %(subject_id)s
  AND notification.category = %(category)s
  AND coalesce(notification.edition, 0) <= %(edition)s
  AND delivery.school_id = notification.school_id
  AND delivery.notification_id = notification.notification_id
  AND delivery.state = 'queued'
  AND delivery.attempts = 0
  AND (delivery.subject, delivery.body) IS DISTINCT FROM (%(subject)s, %(body)s)
"""


async def rewrite(
    tx: Tx,
    school_id: UUID,
    subject_id: UUID,
    category: Category,
    *,
    edition: int,
    subject: str,
    body: str,
    now: datetime,
) -> None:
    """Change what was not yet tried, up to this edition."""
    await tx.execute(
        REWRITE,
        school_id=school_id,
        subject_id=subject_id,
        category=category,
        edition=edition,
        subject=subject,
        body=body,
        now=now,
    )
