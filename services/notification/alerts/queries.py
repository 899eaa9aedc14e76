"""Alerts and the queue of those that wait."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.alerts.schemas import AlertRow, DueAlert
from shared.database import Reader, Tx

BEGIN_ALERT: LiteralString = """
INSERT INTO absence_alert (
    school_id, student_id, day, state, episode, version, lessons, changed_by, traceparent
)
VALUES (%(school_id)s, %(student_id)s, %(day)s, 'none', 1, 0, '{}', NULL, NULL)
ON CONFLICT (school_id, student_id, day) DO NOTHING
"""

LOCK_ALERT: LiteralString = """
SELECT student_id, day, state, episode, due_at, reason, version, lessons, changed_by AS marked_by, traceparent
FROM absence_alert
WHERE school_id = %(school_id)s
  AND student_id = %(student_id)s
  AND day = %(day)s
FOR UPDATE
"""


async def locked_alert(tx: Tx, school_id: UUID, *, student_id: UUID, day: date) -> AlertRow:
    """The alert of a student's day, begun when there is none; nobody else moves it until the transaction ends."""
    row = await tx.one(AlertRow, LOCK_ALERT, school_id=school_id, student_id=student_id, day=day)
    if row is None:
        await tx.execute(BEGIN_ALERT, school_id=school_id, student_id=student_id, day=day)
        row = await tx.one(AlertRow, LOCK_ALERT, school_id=school_id, student_id=student_id, day=day)
    assert row is not None
    return row


# SKIP LOCKED: an event that has the alert in hand is let through, the alert comes up again at the next look.
LOCK_PENDING_ALERTS: LiteralString = """
SELECT student_id, day, state, episode, due_at, reason, version, lessons, changed_by AS marked_by, traceparent
FROM absence_alert
WHERE school_id = %(school_id)s
  AND (student_id, day) IN (SELECT student_id, day FROM unnest(%(student_ids)s::uuid[], %(days)s::date[])
                            AS due (student_id, day))
ORDER BY student_id, day
LIMIT 1000
FOR UPDATE SKIP LOCKED
"""


async def locked_alerts(tx: Tx, school_id: UUID, due: Sequence[DueAlert]) -> list[AlertRow]:
    return await tx.all(
        AlertRow,
        LOCK_PENDING_ALERTS,
        school_id=school_id,
        student_ids=[each.student_id for each in due],
        days=[each.day for each in due],
    )


SAVE_ALERT: LiteralString = """
UPDATE absence_alert
SET state = %(state)s,
    episode = %(episode)s,
    due_at = %(due_at)s,
    reason = %(reason)s,
    version = %(version)s,
    lessons = %(lessons)s,
    changed_by = %(marked_by)s,
    traceparent = %(traceparent)s
WHERE school_id = %(school_id)s
  AND student_id = %(student_id)s
  AND day = %(day)s
"""


async def save_alerts(tx: Tx, school_id: UUID, alerts: Sequence[AlertRow]) -> None:
    await tx.execute_many(SAVE_ALERT, [{"school_id": school_id, **msgspec.structs.asdict(each)} for each in alerts])


AWAIT_ALERT: LiteralString = """
INSERT INTO alert_due (school_id, student_id, day, due_at)
VALUES (%(school_id)s, %(student_id)s, %(day)s, %(due_at)s)
ON CONFLICT (school_id, student_id, day) DO UPDATE
SET due_at = excluded.due_at
"""


async def await_alert(tx: Tx, school_id: UUID, alert: AlertRow) -> None:
    await tx.execute(AWAIT_ALERT, school_id=school_id, student_id=alert.student_id, day=alert.day, due_at=alert.due_at)


FORGET_ALERT: LiteralString = """
DELETE FROM alert_due
WHERE school_id = %(school_id)s
  AND student_id = %(student_id)s
  AND day = %(day)s
"""


async def forget_alerts(tx: Tx, school_id: UUID, alerts: Sequence[AlertRow]) -> None:
    rows = [{"school_id": school_id, "student_id": each.student_id, "day": each.day} for each in alerts]
    await tx.execute_many(FORGET_ALERT, rows)


# Uses alert_due_at.
CLAIM_DUE_ALERTS: LiteralString = """
-- unscoped: what is due at any school; ids only
SELECT school_id, student_id, day
FROM alert_due
WHERE due_at <= %(now)s
ORDER BY due_at, school_id, student_id, day
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""


async def claim_due_alerts(tx: Tx, *, now: datetime, limit: int) -> list[DueAlert]:
    """What is due and in nobody else's hands; ours until the transaction ends."""
    return await tx.all(DueAlert, CLAIM_DUE_ALERTS, now=now, limit=limit)


# Uses alert_due_at.
OVERDUE: LiteralString = """
-- unscoped: how long the oldest of any school has been due
SELECT coalesce(extract(epoch FROM %(now)s - min(due_at)), 0)::float8
FROM alert_due
WHERE due_at <= %(now)s
"""


async def overdue_s(reader: Reader, *, now: datetime) -> float:
    """How long the oldest alert that is due waits, in seconds; 0 when none is."""
    return await reader.value(float, OVERDUE, now=now) or 0.0


POSTPONE_ALERT: LiteralString = """
UPDATE alert_due
SET due_at = %(due_at)s
WHERE school_id = %(school_id)s
  AND student_id = %(student_id)s
  AND day = %(day)s
"""


async def postpone_alerts(tx: Tx, due: Sequence[DueAlert], *, until: datetime) -> None:
    """Look at these again later: they must not hold up the others."""
    await tx.execute_many(POSTPONE_ALERT, [{**msgspec.structs.asdict(each), "due_at": until} for each in due])
