"""Which days are told of, and when they were told just so."""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from shared.contracts.academic import LessonOfDay

LOOK_AHEAD: Final = timedelta(hours=1)
"""A school is looked at at least this often: its day may have ended without any change."""
POSTPONED: Final = timedelta(seconds=60)
"""When a school that could not be looked at is tried again."""


def days_told(today: date) -> tuple[date, ...]:
    """Tomorrow too: when it begins, its lessons are there, however late the worker."""
    return today, today + timedelta(days=1)


def digest(lessons: Sequence[LessonOfDay]) -> bytes:
    return hashlib.sha256(msgspec.json.encode(lessons)).digest()
