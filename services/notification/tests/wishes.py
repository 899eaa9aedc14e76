"""What people wish, and the time that it is."""

from datetime import datetime, time
from typing import Any
from uuid import UUID

import msgspec

from services.notification.preferences import queries
from services.notification.preferences.schemas import (
    DEFAULT_POLICY,
    Choice,
    Group,
    Policy,
    PreferencesRequest,
    QuietHours,
)
from services.notification.tests.factories import School

EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
NIGHT = QuietHours(starts_at=time(21), ends_at=time(7), days=EVERY_DAY)


class Clock:
    """The time that the service believes it is."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def to(self, text: str) -> None:
        """By the clock of New York, in summer."""
        self.at = datetime.fromisoformat(f"{text}:00-04:00")


async def wish(school: School, recipient_id: UUID, *choices: Choice, **fields: Any) -> None:
    wanted = PreferencesRequest(choices=list(choices), **fields)
    async with school.database.transaction(school_id=school.school_id) as tx:
        await queries.save_mail_hours(tx, school.school_id, recipient_id, wanted)
        await queries.replace_choices(tx, school.school_id, recipient_id, wanted.choices)


async def insist(school: School, **fields: Any) -> None:
    wanted: Policy = msgspec.structs.replace(DEFAULT_POLICY, **fields)
    async with school.database.transaction(school_id=school.school_id) as tx:
        await queries.save_policy(tx, school.school_id, wanted)


def daily(*groups: Group) -> list[Choice]:
    return [Choice(group=group, channel="email", frequency="daily_digest") for group in groups or ("announcements",)]
