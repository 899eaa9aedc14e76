"""The machine behind an alert (ADR 0801): pure, so that every order of events can be tried against it.

none ──missed──► pending ──grace over──► sent ──explained──► corrected
▲                │    │                                        │
└───explained────┘    └──too late, nobody to tell──► withheld  └──missed again──► pending, next episode

What is withheld goes back to none when explained, and to pending when missed again while nobody was to be told.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notification.alerts.schemas import Alert


def after_register(alert: Alert, *, is_absent: bool, due_at: datetime) -> Alert:
    """The alert after a register was saved. A further lesson missed on a day that was told of adds nothing."""
    match alert.state, is_absent:
        case "none" | "corrected", True:
            # Only who was told of an earlier absence hears of this one as another.
            return Alert(state="pending", episode=alert.episode + (alert.state == "corrected"), due_at=due_at)
        case "pending", True:
            return Alert(state="pending", episode=alert.episode, due_at=min(due_at, alert.due_at or due_at))
        case "withheld", True if alert.reason == "nobody_to_tell":
            # Nobody knows; by now there may be somebody, or it was saved by another.
            return Alert(state="pending", episode=alert.episode, due_at=due_at)
        case "pending" | "withheld", False:
            return Alert(state="none", episode=alert.episode)
        case "sent", False:
            return Alert(state="corrected", episode=alert.episode)
        case _:
            return alert


def after_grace(alert: Alert, *, now: datetime, is_too_late: bool, has_recipients: bool) -> Alert:
    """The alert once somebody looked whether it is due."""
    if alert.state != "pending" or alert.due_at is None or alert.due_at > now:
        return alert
    if is_too_late:
        return Alert(state="withheld", episode=alert.episode, reason="too_late")
    if not has_recipients:
        return Alert(state="withheld", episode=alert.episode, reason="nobody_to_tell")
    return Alert(state="sent", episode=alert.episode)


def must_tell(before: Alert, after: Alert) -> bool:
    """Whether the grace period has just ended with an absence to tell."""
    return before.state == "pending" and after.state == "sent"


def is_untold(before: Alert, after: Alert) -> bool:
    """Whether it has just turned out that there is nobody to tell."""
    return before.state == "pending" and after.reason == "nobody_to_tell"


def is_stale(version: int, *, known: int) -> bool:
    """Whether an event says less than what was taken in already: repeated, or overtaken."""
    return version <= known


def must_correct(before: Alert, after: Alert) -> bool:
    """Whether those who were told must now hear that it was not so."""
    return before.state == "sent" and after.state == "corrected"


def only_marker(marked_by: Sequence[UUID] | None, *, changed_by: UUID) -> UUID | None:
    """Who made all the marks of an absence, and so knows of it. None when several did: each may not know of the others.

    Whoever changed the day did, where that was not told.
    """
    if marked_by is None:
        return changed_by
    return marked_by[0] if len(marked_by) == 1 else None


def is_still_away(told: Sequence[str], *, explained: Sequence[str] | None, status: str) -> bool:
    """Whether the student was away from a lesson that was told of: then what ended the alert is an explanation.

    The day's status decides where the publisher did not say; it is silent about a lesson or two.
    """
    if explained is None:
        return status in {"absent", "excused"}
    return not set(told).isdisjoint(explained)


def due_at(changed_at: datetime, grace_period_minutes: int) -> datetime:
    return changed_at + timedelta(minutes=grace_period_minutes)


def is_too_late(day: date, *, now: datetime, time_zone: str, max_age_h: float) -> bool:
    """Whether `day` ended so long ago that its absences are recorded and not told.

    A register that is filled in days later must not wake parents; neither must a backlog after an outage.
    """
    end_of_day = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone))
    return now - end_of_day > timedelta(hours=max_age_h)
