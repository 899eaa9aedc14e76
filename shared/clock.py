"""The only source of time. Rules receive instants as arguments; nothing else reads a clock."""

from datetime import UTC, date, datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

NO_ZONES: Final = frozenset({"localtime", "Factory", "CET", "EET", "MET", "WET"})
"""Files beside the zones and none of them: whatever the machine is set to, and what stands in until it is set. And
abbreviations, which Postgres takes for winter's time all year."""


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def school_day(instant: datetime, time_zone: str) -> date:
    """The calendar day on which `instant` falls in a school's time zone (an IANA name)."""
    return instant.astimezone(ZoneInfo(time_zone)).date()


def is_time_zone(name: str) -> bool:
    """Whether it is an IANA name of a place's time."""
    return name in _time_zones()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - NO_ZONES
