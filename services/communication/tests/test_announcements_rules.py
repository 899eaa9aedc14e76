"""The life of an announcement, and the school's clock."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.communication.announcements import rules
from services.communication.announcements.schemas import AnnouncementChange, AnnouncementRow, Body, Title

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONES = st.sampled_from(
    ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kolkata", "Africa/Cairo"]
)
AUDIENCE = {"include": [{"kind": "role", "role": "guardian"}], "exclude": []}


def row(state: Any = "draft", **fields: Any) -> AnnouncementRow:
    made: dict[str, Any] = {
        "announcement_id": UUID(int=1),
        "author_user_id": UUID(int=2),
        "author_role": "school_admin",
        "author_person_id": None,
        "title": "Snow",
        "body": "No school.",
        "audience": AUDIENCE,
        "is_urgent": False,
        "state": state,
        "hold_reason": None,
        "send_at_local": None,
        "send_at": NOW,
        "pinned_until": None,
        "expires_at": None,
        "edition": 1,
        "next_part": 1,
        "parts": 0,
        "version": 1,
        "created_at": NOW,
        "edited_at": None,
        "sent_by": None,
        "sent_at": None,
        "withdrawn_at": None,
        "traceparent": None,
    }
    return AnnouncementRow(**{**made, **fields})


@pytest.mark.parametrize(
    ("local", "zone", "instant"),
    [
        ("2026-03-02T07:30", "America/New_York", datetime(2026, 3, 2, 12, 30, tzinfo=UTC)),
        ("2026-03-09T07:30", "America/New_York", datetime(2026, 3, 9, 11, 30, tzinfo=UTC)),
        ("2026-11-01T01:30", "America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        ("2026-10-25T02:30", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-04-05T01:45", "Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),
    ],
    ids=["winter", "summer", "twice, the first is meant", "twice in Berlin", "twice by half an hour"],
)
def test_a_time_of_the_clock_is_one_instant(local: str, zone: str, instant: datetime) -> None:
    assert rules.require_time(datetime.fromisoformat(local), zone, now=NOW) == instant


@pytest.mark.parametrize(
    ("local", "zone", "shown"),
    [
        ("2026-03-08T02:30", "America/New_York", "03:30"),
        ("2026-03-29T02:00", "Europe/Berlin", "03:00"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "02:45"),
    ],
    ids=["New York", "Berlin", "half an hour"],
)
def test_a_time_that_the_clock_leaps_over_is_refused_with_the_one_it_shows(local: str, zone: str, shown: str) -> None:
    with pytest.raises(rules.NoSuchTime, match=shown):
        rules.require_time(datetime.fromisoformat(local), zone, now=NOW)


@pytest.mark.parametrize("local", ["0001-01-01T00:00", "9999-12-31T23:59", "2026-03-01T06:59", "2028-01-01"])
def test_a_time_that_is_over_or_too_far_is_refused(local: str) -> None:
    with pytest.raises(rules.NoSuchTime):
        rules.require_time(datetime.fromisoformat(local), "America/New_York", now=NOW)


@given(zone=ZONES, minutes=st.integers(1, 399 * 24 * 60))
def test_a_wish_that_is_granted_is_what_the_clock_will_show(zone: str, minutes: int) -> None:
    local = NOW.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(minutes=minutes)
    try:
        instant = rules.require_time(local, zone, now=NOW)
    except rules.NoSuchTime:
        assume(False)
        return

    assert instant > NOW
    assert instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local
    earlier = (instant - timedelta(hours=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert earlier != local


@given(zone=ZONES, other=ZONES, minutes=st.integers(1, 399 * 24 * 60))
def test_a_school_that_moves_keeps_the_time_on_its_clock(zone: str, other: str, minutes: int) -> None:
    local = NOW.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(minutes=minutes)
    waiting = rules.scheduled(row(), local=local, send_at=rules.instant_of(local, zone))

    moved = rules.send_instant(waiting, other)

    shown = moved.astimezone(ZoneInfo(other)).replace(tzinfo=None)
    assert shown == local or timedelta() < shown - local <= timedelta(hours=1)


@given(recipients=st.integers(1, 20_000), edits=st.integers(0, 3))
def test_every_part_is_told_once_in_every_edition(recipients: int, edits: int) -> None:
    at = rules.frozen(row("scheduled"), recipients=recipients, now=NOW)
    told: list[tuple[int, int]] = []
    for edition in range(1, edits + 2):
        while at.state == "sending":
            told.append((at.edition, at.next_part))
            at = rules.after_part(at)
        if edition <= edits:
            at = rules.told_again(at)

    parts = -(-recipients // rules.PART)
    assert told == [(edition, part) for edition in range(1, edits + 2) for part in range(1, parts + 1)]
    assert at.state == "sent"


def test_an_empty_audience_holds_the_announcement() -> None:
    held = rules.frozen(row("scheduled"), recipients=0, now=NOW)

    assert (held.state, held.hold_reason) == ("held", "nobody_to_tell")


@pytest.mark.parametrize("state", ["draft", "scheduled", "held", "sending"])
def test_only_what_was_told_whole_is_told_again(state: str) -> None:
    with pytest.raises(rules.NotYetSent):
        rules.edited(row(state, sent_at=NOW), AnnouncementChange(version=1, title="Ice", notify=True), now=NOW)


def test_nobody_is_told_of_what_has_expired_unless_it_is_kept_longer() -> None:
    over = row("sent", sent_at=NOW, expires_at=NOW)
    kept = AnnouncementChange(version=1, expires_at=NOW + timedelta(days=1), notify=True)

    with pytest.raises(rules.NotYetSent):
        rules.edited(over, AnnouncementChange(version=1, title="Ice", notify=True), now=NOW)
    assert rules.edited(over, kept, now=NOW).edition == 2


@pytest.mark.parametrize("state", ["sending", "sent"])
@pytest.mark.parametrize(
    "change",
    [
        {"is_urgent": True},
        {"audience": {"include": [{"kind": "role", "role": "student"}]}},
        {"audience": {**AUDIENCE, "exclude": [str(UUID(int=9))]}},
    ],
    ids=["urgency", "audience", "exclusion"],
)
def test_once_it_went_out_its_audience_stands(state: str, change: dict[str, Any]) -> None:
    with pytest.raises(rules.AudienceFrozen):
        rules.edited(row(state, sent_at=NOW), msgspec.convert({"version": 1, **change}, AnnouncementChange), now=NOW)


def test_the_same_audience_again_is_no_change() -> None:
    change = msgspec.convert({"version": 1, "audience": AUDIENCE, "title": "Ice"}, AnnouncementChange)

    after = rules.edited(row("sent", sent_at=NOW), change, now=NOW)

    assert (after.title, after.edited_at, after.state, after.edition) == ("Ice", NOW, "sent", 1)


UNSEEN = [" ", "\u00a0", "\u200b", "\u3000", "\ufeff", "\u2060 \u00ad", "\u3164", "\u2800", "\u200e\u200f"]
"""What shows nothing."""


@pytest.mark.parametrize("title", ["", "\u0000", "a\nb", "a" * 201, "\t", *UNSEEN])
def test_a_title_is_one_line_that_says_something(title: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(title, Title)


@pytest.mark.parametrize("body", ["", "\n", " \t\r\n", "a\u0000", "a\n\u007f", "a" * 10_001, *UNSEEN])
def test_a_body_says_something(body: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, Body)


@pytest.mark.parametrize("text", ["a", "\u00a0é", "\u3000雪", "❄\ufe0f", "\u200fשלג", "\u200b.\u200b", "1 a\u00a0b"])
def test_any_script_says_something(text: str) -> None:
    assert msgspec.convert(text, Title) == text
    assert msgspec.convert(f"\n{text}\n", Body) == f"\n{text}\n"


def test_a_long_body_that_says_nothing_is_refused_at_once() -> None:
    """A pattern that tries every place would take 10,000 times as long."""
    for body in (" " * 10_000, "a" * 9_999 + "\u0000", " " * 9_999 + "\u0000"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(body, Body)
