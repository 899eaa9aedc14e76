"""What academic knows of a school: its zone, sessions, bell schedule and days."""

from datetime import date
from uuid import UUID

import msgspec


class KnownSchool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    time_zone: str
    register_reminder_minutes: int
    register_escalation_minutes: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sourced_id: str | None
    title: str
    kind: str
    starts_on: date
    ends_on: date


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    kind: str
    title: str
