"""What must be known of schools and people to tell them anything."""

from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from shared.contracts.school import DEFAULT_LOCALE


class School(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    time_zone: str
    grace_period_minutes: int
    locale: str


UNKNOWN_SCHOOL: Final = School(name="Your school", time_zone="UTC", grace_period_minutes=10, locale=DEFAULT_LOCALE)
"""Until `school` has told us of it: an absence must not be lost because two services were heard in the other order."""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    """The school record; the login of who has none, such as a school admin."""
    name: str
    email: str | None


class AlertRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """A guardian who is to hear of one student's day."""

    student_id: UUID
    day: date
    guardian_id: UUID


class OfficeMember(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID


class StudentName(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
