"""What was chosen, by whom, and what schools insist on."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import LiteralString
from uuid import UUID

import msgspec

from services.notification.preferences.schemas import (
    DEFAULT_POLICY,
    EVERY_CHILD,
    Child,
    Choice,
    Choices,
    MailHours,
    Policy,
    PreferencesRequest,
    SavedChoice,
    Waiting,
)
from shared.database import Reader, Tx

# Uses the primary key.
CHOICES: LiteralString = """
SELECT recipient_id, student_id, category_group, channel, frequency
FROM preference
WHERE school_id = %(school_id)s
  AND recipient_id = ANY(%(recipient_ids)s::uuid[])
ORDER BY recipient_id, student_id, category_group, channel
LIMIT 1000000
"""


async def choices(reader: Reader, school_id: UUID, recipient_ids: Sequence[UUID]) -> dict[UUID, Choices]:
    """By recipient; nothing for who has chosen nothing."""
    found: dict[UUID, Choices] = defaultdict(dict)
    for each in await reader.all(SavedChoice, CHOICES, school_id=school_id, recipient_ids=list(recipient_ids)):
        found[each.recipient_id][each.student_id, each.category_group, each.channel] = each.frequency
    return found


# Uses the primary key.
MAIL_HOURS: LiteralString = """
SELECT recipient_id, time_zone, digest_hour, quiet_starts_at, quiet_ends_at, quiet_days
FROM mail_hours
WHERE school_id = %(school_id)s
  AND recipient_id = ANY(%(recipient_ids)s::uuid[])
ORDER BY recipient_id
LIMIT 100000
"""


async def mail_hours(reader: Reader, school_id: UUID, recipient_ids: Sequence[UUID]) -> dict[UUID, MailHours]:
    """By recipient; nothing for who has chosen nothing."""
    found = await reader.all(MailHours, MAIL_HOURS, school_id=school_id, recipient_ids=list(recipient_ids))
    return {each.recipient_id: each for each in found}


POLICY: LiteralString = """
SELECT at_once, at_least_daily, digest_hour, alerts_break_quiet_hours
FROM notification_policy
WHERE school_id = %(school_id)s
"""


async def policy(reader: Reader, school_id: UUID) -> Policy:
    return await reader.one(Policy, POLICY, school_id=school_id) or DEFAULT_POLICY


SAVE_POLICY: LiteralString = """
INSERT INTO notification_policy (school_id, at_once, at_least_daily, digest_hour, alerts_break_quiet_hours)
VALUES (%(school_id)s, %(at_once)s, %(at_least_daily)s, %(digest_hour)s, %(alerts_break_quiet_hours)s)
ON CONFLICT (school_id) DO UPDATE
SET at_once = excluded.at_once,
    at_least_daily = excluded.at_least_daily,
    digest_hour = excluded.digest_hour,
    alerts_break_quiet_hours = excluded.alerts_break_quiet_hours
"""


async def save_policy(tx: Tx, school_id: UUID, wanted: Policy) -> None:
    await tx.execute(SAVE_POLICY, school_id=school_id, **msgspec.structs.asdict(wanted))


# Uses delivery_state.
WAITING_BY_POLICY: LiteralString = """
SELECT delivery.delivery_id, delivery.recipient_person_id AS recipient_id, digest.day
FROM delivery
LEFT JOIN digest
  ON digest.school_id = delivery.school_id
 AND digest.delivery_id = delivery.delivery_id
WHERE delivery.school_id = %(school_id)s
  AND delivery.state = 'queued'
  AND delivery.attempts = 0
  AND delivery.category IN ('digest', 'absence_alert')
  AND delivery.recipient_person_id IS NOT NULL
  AND delivery.delivery_id > %(after)s
ORDER BY delivery.delivery_id
LIMIT %(limit)s
"""


async def waiting_by_policy(reader: Reader, school_id: UUID, *, after: UUID, limit: int) -> list[Waiting]:
    """The next of what waits at a school for an hour that its policy has a say in."""
    return await reader.all(Waiting, WAITING_BY_POLICY, school_id=school_id, after=after, limit=limit)


# Uses guardian_link_guardian.
CHILDREN: LiteralString = """
SELECT DISTINCT student_id
FROM guardian_link
WHERE school_id = %(school_id)s
  AND guardian_id = %(guardian_id)s
  AND is_active
  AND may_see
  AND coalesce(starts_on <= %(today)s, true)
  AND coalesce(ends_on >= %(today)s, true)
ORDER BY student_id
LIMIT 100
"""


async def children(reader: Reader, school_id: UUID, guardian_id: UUID, *, today: date) -> list[UUID]:
    """Whom a guardian may see."""
    found = await reader.all(Child, CHILDREN, school_id=school_id, guardian_id=guardian_id, today=today)
    return [each.student_id for each in found]


# Saved before the choices: whoever saves at the same time waits for this row.
SAVE_MAIL_HOURS: LiteralString = """
INSERT INTO mail_hours (
    school_id, recipient_id, time_zone, digest_hour, quiet_starts_at, quiet_ends_at, quiet_days
)
VALUES (
    %(school_id)s, %(recipient_id)s, %(time_zone)s, %(digest_hour)s, %(quiet_starts_at)s, %(quiet_ends_at)s,
    %(quiet_days)s
)
ON CONFLICT (school_id, recipient_id) DO UPDATE
SET time_zone = excluded.time_zone,
    digest_hour = excluded.digest_hour,
    quiet_starts_at = excluded.quiet_starts_at,
    quiet_ends_at = excluded.quiet_ends_at,
    quiet_days = excluded.quiet_days
"""


async def save_mail_hours(tx: Tx, school_id: UUID, recipient_id: UUID, wanted: PreferencesRequest) -> None:
    quiet = wanted.quiet_hours
    await tx.execute(
        SAVE_MAIL_HOURS,
        school_id=school_id,
        recipient_id=recipient_id,
        time_zone=wanted.time_zone,
        digest_hour=wanted.digest_hour,
        quiet_starts_at=quiet.starts_at if quiet else None,
        quiet_ends_at=quiet.ends_at if quiet else None,
        quiet_days=sorted(set(quiet.days)) if quiet else None,
    )


FORGET_CHOICES: LiteralString = """
DELETE FROM preference
WHERE school_id = %(school_id)s
  AND recipient_id = %(recipient_id)s
"""

ADD_CHOICE: LiteralString = """
INSERT INTO preference (school_id, recipient_id, student_id, category_group, channel, frequency)
VALUES (%(school_id)s, %(recipient_id)s, %(student_id)s, %(group)s, %(channel)s, %(frequency)s)
"""


async def replace_choices(tx: Tx, school_id: UUID, recipient_id: UUID, wanted: Sequence[Choice]) -> None:
    await tx.execute(FORGET_CHOICES, school_id=school_id, recipient_id=recipient_id)
    rows = [
        {
            **msgspec.structs.asdict(each),
            "school_id": school_id,
            "recipient_id": recipient_id,
            "student_id": each.student_id or EVERY_CHILD,
        }
        for each in wanted
    ]
    await tx.execute_many(ADD_CHOICE, rows)
