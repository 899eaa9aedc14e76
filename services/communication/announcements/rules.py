"""The life of an announcement, and what the clock of a school shows. Pure: time comes in as an argument (ADR 0504).

draft ──send──► scheduled ──due──► sending ──all parts told──► sent ──edit to be told──► sending, next edition
  ▲                │    └──due, but expired, day over, or nobody to tell──► held ──send──► scheduled
  └──call back─────┘

From everywhere ──► withdrawn. An edit leaves the state as it is.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from services.communication.announcements.schemas import AnnouncementChange, AnnouncementRow, HoldReason
from services.communication.audiences.schemas import AbsentTodayRule, Audience, Author
from shared.identity import Caller, Role
from shared.problems import Conflict, FieldError, Forbidden, Invalid, NotFound

PART: Final = 500
"""How many recipients an event holds at the most."""
FURTHEST: Final = timedelta(days=400)
"""How far ahead an announcement may be planned, pinned or kept."""
NEVER: Final = datetime.min.replace(tzinfo=UTC)
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
GONE_OUT: Final = frozenset({"sending", "sent"})
NOT_YET_OUT: Final = frozenset({"draft", "scheduled", "held"})


class StaleAnnouncement(Conflict):
    slug = "stale-announcement"
    title = "The announcement changed since it was read"


class NotToBeSent(Conflict):
    slug = "not-to-be-sent"
    title = "The announcement went out already, or was withdrawn"


class NotScheduled(Conflict):
    slug = "not-scheduled"
    title = "The announcement does not wait to go out"


class Withdrawn(Conflict):
    slug = "withdrawn"
    title = "The announcement was withdrawn"


class AudienceFrozen(Conflict):
    slug = "audience-frozen"
    title = "The announcement went out: its audience stands"


class NotYetSent(Conflict):
    slug = "not-yet-sent"
    title = "Its readers cannot be told of an edit now"


class NoSuchTime(Invalid):
    slug = "no-such-time"
    title = "The announcement cannot go out at that time"


class NoSuchEnd(Invalid):
    slug = "no-such-end"
    title = "It cannot be pinned or kept until then"


class OfficeOnly(Forbidden):
    slug = "office-only"
    title = "Only the office breaks quiet hours"


def author_of(row: AnnouncementRow) -> Author:
    return Author(teacher_id=row.author_person_id)


def require_own(caller: Caller, row: AnnouncementRow | None) -> AnnouncementRow:
    """Raises NotFound unless the caller may manage it: the office all of the school, a teacher what they wrote."""
    if row is None or not is_own(caller, row):
        raise NotFound
    return row


def is_own(caller: Caller, row: AnnouncementRow | None) -> bool:
    if row is None or caller.role == Role.SCHOOL_ADMIN:
        return row is not None
    return (row.author_user_id, row.author_role) == (caller.user_id, caller.role)


def require_version(row: AnnouncementRow, version: int) -> None:
    """Raises StaleAnnouncement when somebody changed it, or it went out, since that version."""
    if row.version != version:
        raise StaleAnnouncement(f"You began from version {version}; it is at {row.version}.")


def require_to_be_sent(row: AnnouncementRow) -> None:
    if row.state not in NOT_YET_OUT:
        raise NotToBeSent(f"It is {row.state}.")


def require_scheduled(row: AnnouncementRow) -> None:
    if row.state != "scheduled":
        raise NotScheduled(f"It is {row.state}.")


def require_urgency(author: Author, *, is_urgent: bool) -> None:
    if is_urgent and author.teacher_id is not None:
        raise OfficeOnly("Leave `is_urgent` out.", errors=[FieldError("/is_urgent", "Not for teachers.")])


def require_end(name: str, end: datetime | None, *, now: datetime) -> None:
    """Raises NoSuchEnd for what is over, or further than FURTHEST."""
    if end is not None and not now < end <= now + FURTHEST:
        detail = f"`{name}` must lie within the next {FURTHEST.days} days."
        raise NoSuchEnd(detail, errors=[FieldError(f"/{name}", detail)])


def require_end_after(name: str, end: datetime | None, send_at: datetime, *, pointer: str) -> None:
    """Raises NoSuchEnd for an end that would have come before the announcement goes out."""
    if end is not None and end <= send_at:
        detail = f"It would go out at {send_at}, and `{name}` is {end}."
        raise NoSuchEnd(f"`{name}` would be over when it goes out.", errors=[FieldError(pointer, detail)])


def edited(row: AnnouncementRow, change: AnnouncementChange, *, now: datetime) -> AnnouncementRow:
    """The announcement with the change. Raises Withdrawn, AudienceFrozen, NotYetSent."""
    if row.state == "withdrawn":
        raise Withdrawn("Write a new one.")
    wanted = {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not UNSET and name not in {"version", "notify", "audience", "file_ids"}
    }
    if isinstance(change.audience, Audience):
        wanted["audience"] = msgspec.to_builtins(change.audience)
    after = msgspec.structs.replace(row, **wanted, version=row.version + 1)
    if row.state in GONE_OUT:
        if (after.rules, after.is_urgent) != (row.rules, row.is_urgent):
            raise AudienceFrozen("Change its text, or withdraw it and write a new one.")
        if (after.title, after.body) != (row.title, row.body) or change.file_ids is not UNSET:
            after = msgspec.structs.replace(after, edited_at=now)
    if change.notify and is_expired(after, now=now):
        raise NotYetSent("It has expired; move `expires_at` as well.")
    return told_again(after) if change.notify else after


def must_reach_its_audience(before: AnnouncementRow, after: AnnouncementRow, change: AnnouncementChange) -> bool:
    """Whether a teacher's announcement, out already, comes to its readers with something new, or anew, or for longer.

    To show them less of it asks for nothing: it is what is left to a teacher who lost the class.
    """
    if before.author_person_id is None or before.state not in GONE_OUT:
        return False
    is_other = (after.title, after.body) != (before.title, before.body) or change.file_ids is not UNSET
    is_kept_longer = (after.expires_at or FOREVER) > (before.expires_at or FOREVER)
    is_pinned_longer = (after.pinned_until or NEVER) > (before.pinned_until or NEVER)
    return is_other or is_kept_longer or is_pinned_longer or change.notify


def told_again(row: AnnouncementRow) -> AnnouncementRow:
    """The next edition, to be told to the same audience. Raises NotYetSent while the last one is not told whole."""
    if row.state != "sent":
        raise NotYetSent(f"It is {row.state}; leave `notify` out, or try again when it is sent.")
    return msgspec.structs.replace(row, state="sending", edition=row.edition + 1, next_part=1)


def scheduled(row: AnnouncementRow, *, local: datetime | None, send_at: datetime) -> AnnouncementRow:
    return msgspec.structs.replace(
        row, state="scheduled", hold_reason=None, send_at_local=local, send_at=send_at, version=row.version + 1
    )


def called_back(row: AnnouncementRow) -> AnnouncementRow:
    return msgspec.structs.replace(row, state="draft", send_at_local=None, send_at=None, version=row.version + 1)


def withdrawn(row: AnnouncementRow, *, now: datetime) -> AnnouncementRow:
    return msgspec.structs.replace(row, state="withdrawn", hold_reason=None, withdrawn_at=now, version=row.version + 1)


def frozen(row: AnnouncementRow, *, recipients: int, now: datetime) -> AnnouncementRow:
    """Once its audience is resolved. The version moves: who edits what they think is still waiting is told."""
    if not recipients:
        return held(row, "nobody_to_tell")
    parts = -(-recipients // PART)
    return msgspec.structs.replace(row, state="sending", next_part=1, parts=parts, sent_at=now, version=row.version + 1)


def held(row: AnnouncementRow, reason: HoldReason) -> AnnouncementRow:
    return msgspec.structs.replace(row, state="held", hold_reason=reason, version=row.version + 1)


def after_part(row: AnnouncementRow) -> AnnouncementRow:
    """Once the next part is told."""
    is_last = row.next_part >= row.parts
    return msgspec.structs.replace(row, state="sent" if is_last else "sending", next_part=row.next_part + 1)


def is_expired(row: AnnouncementRow, *, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def is_day_over(row: AnnouncementRow, time_zone: str, *, now: datetime) -> bool:
    """Whether it was for those absent on the day when it was to go out, and that day is over at the school."""
    is_of_day = any(isinstance(rule, AbsentTodayRule) for rule in row.rules.include)
    zone = ZoneInfo(time_zone)
    return is_of_day and send_instant(row, time_zone).astimezone(zone).date() != now.astimezone(zone).date()


def instant_of(local: datetime, time_zone: str) -> datetime:
    """When the school's clock shows `local`: the first time, should it show it twice.

    A time that the clock leaps over is taken as if the clock had not been put forward: half past two, where two
    becomes three, is half past three. Nobody may ask for one, but a school may move to a zone where it is one.
    """
    return local.replace(tzinfo=ZoneInfo(time_zone), fold=0).astimezone(UTC)


def require_time(local: datetime, time_zone: str, *, now: datetime) -> datetime:
    """The instant that is meant. Raises NoSuchTime for one that is over, too far, or never shown by the clock."""
    here = now.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
    if abs(local - here) > FURTHEST:
        raise _no_such_time(f"It must lie within the next {FURTHEST.days} days.")
    instant = instant_of(local, time_zone)
    shown = instant.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
    if shown != local:
        raise _no_such_time(f"The clocks are put forward over {local:%H:%M} that day; say {shown:%H:%M}.")
    if instant <= now:
        raise _no_such_time("It is over; leave `at` out to send it now.")
    return instant


def _no_such_time(detail: str) -> NoSuchTime:
    return NoSuchTime(detail, errors=[FieldError("/at", detail)])


def send_instant(row: AnnouncementRow, time_zone: str) -> datetime:
    """When it goes out, by the zone that the school is in now: the wish was for what its clock shows."""
    if row.send_at_local is not None:
        return instant_of(row.send_at_local, time_zone)
    assert row.send_at is not None
    return row.send_at
