"""By which clock: quiet hours and the hour of the digest, where clocks are also put forward and back. Pure.

A time that a clock skips is the instant at which it skips it. A time that it shows twice is the first one when
something begins, and the second one when quiet ends: rather too quiet than a mail in between.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.notification.preferences.schemas import QuietHours

DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)


def quiet_until(now: datetime, quiet: QuietHours | None, time_zone: str) -> datetime | None:
    """When the quiet that `now` falls in is over, with whatever quiet follows at once; None when it is not quiet."""
    if quiet is None:
        return None
    end = None
    while (further := _end_of_window(end or now, quiet, time_zone)) is not None:
        end = further
    return end


def _end_of_window(now: datetime, quiet: QuietHours, time_zone: str) -> datetime | None:
    zone = ZoneInfo(time_zone)
    today = now.astimezone(zone).date()
    for day in (today - DAY, today, today + DAY):
        if day.isoweekday() not in quiet.days:
            continue
        starts_at = instant_of(day, quiet.starts_at, zone)
        last_day = day if quiet.ends_at > quiet.starts_at else day + DAY
        ends_at = instant_of(last_day, quiet.ends_at, zone, is_end=True)
        if starts_at <= now < ends_at:
            return ends_at
    return None


def next_digest(
    now: datetime, hour: int, quiet: QuietHours | None, time_zone: str, *, after: date | None = None
) -> tuple[date, datetime]:
    """The day of the next digest that is not due yet, of those after `after`, and when it is: not in quiet hours."""
    zone = ZoneInfo(time_zone)
    # Digests of up to a week ago may still be waiting for the end of a long quiet.
    day = max(now.astimezone(zone).date() - 7 * DAY, after + DAY if after else date.min)
    while True:
        due_at = digest_at(day, hour, quiet, time_zone)
        if due_at > now:
            return day, due_at
        day += DAY


def digest_at(day: date, hour: int, quiet: QuietHours | None, time_zone: str) -> datetime:
    """When the digest of this day is due: not in quiet hours."""
    at = instant_of(day, time(hour), ZoneInfo(time_zone))
    return quiet_until(at, quiet, time_zone) or at


def instant_of(day: date, at: time, zone: ZoneInfo, *, is_end: bool = False) -> datetime:
    """When the clocks of `zone` show this; of two instants the first, or the second when quiet ends there."""
    wall = datetime.combine(day, at.replace(microsecond=0))
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != wall:
        return _skip(second, first, zone)
    return second if is_end else first


def _skip(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between these two whole seconds at which the clocks are put forward."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
