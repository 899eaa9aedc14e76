"""When a mail is sent, sent again, or not at all. Pure: time and chance come in as arguments."""

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.notification.deliveries.schemas import (
    Answer,
    Attempt,
    Category,
    DeliveryState,
    EndState,
    Outcome,
    Standing,
)
from services.notification.preferences import hours
from services.notification.preferences.rules import GROUP_OF, route
from services.notification.preferences.schemas import Wishes

LONGEST_DELAY_S: Final = 3600.0
AWAITED_FOR: Final = timedelta(minutes=30)
"""How long a mail waits for what was not heard of yet: longer than a consumer's tries to take in an event."""
ASKED_AGAIN: Final = timedelta(seconds=30)

ATOM: Final = r"[^\s.@<>()\[\]\\,;:\"]+"
ADDRESS: Final = re.compile(rf"{ATOM}(\.{ATOM})*@{ATOM}(\.{ATOM})*")
"""Coarse on purpose: the mail server knows best; this keeps out what would break a header."""
LONGEST_ADDRESS: Final = 254


def usable_address(email: str | None) -> str | None:
    """The address, or None when no mail can go there."""
    if not email or len(email) > LONGEST_ADDRESS or not email.isprintable():
        return None
    return email if ADDRESS.fullmatch(email) else None


NO_ADDRESS: Final = Outcome(state="unreachable", detail="There is no usable address.")


def before_attempt(attempt: Attempt, standing: Standing, *, max_attempts: int, now: datetime) -> Outcome | None:
    """What ends a delivery before a further attempt; None when it may go out."""
    reason = _why_not(attempt, standing, now)
    if reason is not None:
        return Outcome(state="cancelled", detail=reason)
    if not attempt.address and not standing.is_awaited:
        return NO_ADDRESS
    if attempt.attempts >= max_attempts:
        # Each attempt is counted before it is made: these ended with the sender, not with an answer.
        return Outcome(state="failed", detail="The last attempt was interrupted.")
    return None


def _why_not(attempt: Attempt, standing: Standing, now: datetime) -> str | None:
    if attempt.expires_at is not None and attempt.expires_at <= now:
        return "The code has expired."
    if standing.is_withdrawn:
        return "Withdrawn before it was sent."
    if standing.is_over:
        return "Expired before it was sent."
    if standing.is_superseded:
        return "A later edition is sent instead."
    if standing.is_gone:
        return "The recipient has left the school."
    if not standing.is_linked and not standing.is_awaited:
        return "The guardian is no longer to hear of the student."
    if standing.is_corrected:
        return "Corrected before it was sent."
    if not standing.is_wanted:
        return "The recipient no longer wants it by mail."
    if not standing.was_alert_tried:
        return "What it corrects was never sent."
    return None


def as_wished(attempt: Attempt, standing: Standing, wishes: Wishes | None, *, now: datetime) -> Standing:
    """With what the recipient wants by now: quiet, or nothing of this kind. What is urgent is not asked; whether an
    alert is, is as the school has it by now.
    """
    breaks_quiet = attempt.is_urgent
    if wishes is not None and attempt.category == "absence_alert":
        breaks_quiet = wishes.policy.alerts_break_quiet_hours
    if wishes is None or (attempt.is_urgent and breaks_quiet):
        return standing
    until = None if breaks_quiet else hours.quiet_until(now, wishes.quiet_hours, wishes.time_zone)
    category = attempt.category
    if category not in GROUP_OF:
        return msgspec.structs.replace(standing, quiet_until=until)
    wanted = route(wishes, category, attempt.student_ids, is_emergency=False).email
    return msgspec.structs.replace(standing, quiet_until=until, is_wanted=wanted != "never")


def held_until(standing: Standing, *, now: datetime) -> datetime | None:
    """When what may not go out yet is looked at again; None when it may."""
    return standing.quiet_until or (now + ASKED_AGAIN if standing.is_awaited else None)


def is_told(category: Category) -> bool:
    """Whether others hear how a mail ended: not of codes, which are between `auth` and their owner."""
    return category not in {"invite", "password_reset"}


def end_state(state: DeliveryState) -> EndState | None:
    """The state as one of which nothing further comes; None while there is something to come."""
    return None if state == "queued" or state == "retried" else state  # noqa: PLR1714 (narrows the type)


def after_attempt(
    answer: Answer, *, attempts: int, max_attempts: int, now: datetime, base_s: float, chance: float
) -> Outcome:
    """What follows from the mail server's answer to attempt number `attempts`."""
    match answer.kind:
        case "accepted":
            return Outcome(state="sent", detail=answer.text)
        case "refused_for_good":
            return Outcome(state="unreachable", detail=answer.text)
        case "refused_for_now" if attempts >= max_attempts:
            return Outcome(state="failed", detail=answer.text)
        case "refused_for_now":
            delay = timedelta(seconds=retry_delay_s(attempts, base_s=base_s, chance=chance))
            return Outcome(state="retried", detail=answer.text, next_attempt_at=now + delay)


def retry_delay_s(attempts: int, *, base_s: float, chance: float) -> float:
    """Three times longer after each attempt; `chance`, from 0 to 1, takes off up to a quarter, so that not all come
    back at once.
    """
    return min(base_s * 3 ** (attempts - 1), LONGEST_DELAY_S) * (1 - chance / 4)
