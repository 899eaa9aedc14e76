"""The only source of time. Rules receive instants as arguments; nothing else reads a clock."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def school_day(instant: datetime, time_zone: str) -> date:
    """The calendar day on which `instant` falls in a school's time zone (an IANA name)."""
    return instant.astimezone(ZoneInfo(time_zone)).date()
