"""Cutting a day's periods to when the school is open."""

from datetime import datetime, time, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.school.calendar.rules import WORTH_MEETING, cut
from shared.contracts.school import DayPeriod

MIDNIGHT = datetime(2026, 12, 3)  # noqa: DTZ001 (a wall clock)
times = st.integers(0, 24 * 60 - 1).map(lambda minutes: (MIDNIGHT + timedelta(minutes=minutes)).time())


def seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


@st.composite
def days(draw: st.DrawFn) -> list[DayPeriod]:
    """Periods in order that do not overlap; some as short as five minutes."""
    bells = sorted(draw(st.sets(st.integers(0, 287), min_size=2, max_size=24)))
    pairs = [(bells[i], bells[i + 1]) for i in range(0, len(bells) - 1, draw(st.integers(1, 2)))]
    return [
        DayPeriod(
            period=str(number),
            starts_at=(MIDNIGHT + timedelta(minutes=5 * start)).time(),
            ends_at=(MIDNIGHT + timedelta(minutes=5 * end)).time(),
        )
        for number, (start, end) in enumerate(pairs)
    ]


@given(day=days(), one=times, other=times)
def test_nothing_is_held_while_the_school_is_closed(day: list[DayPeriod], one: time, other: time) -> None:
    opens_at, closes_at = min(one, other), max(one, other)

    for left in cut(day, opens_at=opens_at, closes_at=closes_at):
        assert opens_at <= left.starts_at < left.ends_at <= closes_at


@given(day=days(), one=times, other=times)
def test_a_period_is_left_alone_cut_to_something_worth_meeting_or_not_held(
    day: list[DayPeriod], one: time, other: time
) -> None:
    opens_at, closes_at = min(one, other), max(one, other)
    left = {each.period: each for each in cut(day, opens_at=opens_at, closes_at=closes_at)}

    for each in day:
        open_for = min(seconds(each.ends_at), seconds(closes_at)) - max(seconds(each.starts_at), seconds(opens_at))
        if opens_at <= each.starts_at and each.ends_at <= closes_at:
            assert left[each.period] == each
        elif open_for >= WORTH_MEETING.seconds:
            assert seconds(left[each.period].ends_at) - seconds(left[each.period].starts_at) == open_for
        else:
            assert each.period not in left


@given(day=days(), one=times, other=times)
def test_what_is_left_stays_in_order_and_apart(day: list[DayPeriod], one: time, other: time) -> None:
    left = cut(day, opens_at=min(one, other), closes_at=max(one, other))

    assert all(earlier.ends_at <= later.starts_at for earlier, later in pairwise(left))


@given(day=days(), one=times, other=times)
def test_cutting_again_changes_nothing(day: list[DayPeriod], one: time, other: time) -> None:
    opens_at, closes_at = min(one, other), max(one, other)
    once = cut(day, opens_at=opens_at, closes_at=closes_at)

    assert cut(once, opens_at=opens_at, closes_at=closes_at) == once


@given(day=days(), opens_at=times, one=times, other=times)
def test_closing_later_never_takes_a_period_away(day: list[DayPeriod], opens_at: time, one: time, other: time) -> None:
    earlier = cut(day, opens_at=opens_at, closes_at=min(one, other))
    later = cut(day, opens_at=opens_at, closes_at=max(one, other))

    assert {each.period for each in earlier} <= {each.period for each in later}


@given(day=days())
def test_who_is_open_all_day_cuts_nothing(day: list[DayPeriod]) -> None:
    assert cut(day, opens_at=time.min, closes_at=time.max) == day
