"""Which wish wins, and by which clock: tried with any wishes, zones and instants."""

from datetime import UTC, date, datetime, time, timedelta
from typing import get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.notification.inbox.schemas import Category
from services.notification.preferences import hours, rules
from services.notification.preferences.schemas import (
    DEFAULT_POLICY,
    EVERY_CHILD,
    Choice,
    Choices,
    Policy,
    PreferencesRequest,
    QuietHours,
    Wishes,
)
from services.notification.tests.factories import instant
from shared.problems import NotFound

ADA, BEN = UUID(int=1), UUID(int=2)
ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC")
NIGHT = QuietHours(starts_at=time(21), ends_at=time(7), days=[1, 2, 3, 4, 5, 6, 7])

zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(2011, 12, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda each: each.replace(microsecond=0)
)
minutes = st.integers(0, 24 * 60 - 1).map(lambda each: time(each // 60, each % 60))
days = st.sets(st.integers(1, 7), min_size=1).map(sorted)
quiets = st.tuples(minutes, minutes, days).filter(lambda each: each[0] != each[1])
quiets = quiets.map(lambda each: QuietHours(starts_at=each[0], ends_at=each[1], days=each[2]))
groups = st.sampled_from(["absences", "absence_reports", "registers", "announcements"])
emails = st.sampled_from(["at_once", "daily_digest", "never"])
choices = st.dictionaries(
    st.tuples(st.sampled_from([EVERY_CHILD, ADA, BEN]), groups, st.just("email"))
    | st.tuples(st.sampled_from([EVERY_CHILD, ADA, BEN]), groups, st.just("in_app")),
    emails,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    mandate = draw(st.dictionaries(groups, st.booleans()))
    return Policy(
        at_once=[group for group, at_once in mandate.items() if at_once],
        at_least_daily=[group for group, at_once in mandate.items() if not at_once],
        digest_hour=17,
        alerts_break_quiet_hours=draw(st.booleans()),
    )


def wishes(chosen: Choices, policy: Policy) -> Wishes:
    return Wishes(choices=chosen, quiet_hours=None, time_zone="UTC", digest_hour=17, policy=policy)


# -- Which wish wins.


@given(choices, policies(), groups, st.sampled_from(["email", "in_app"]), st.sets(st.sampled_from([ADA, BEN])))
def test_nobody_is_told_less_often_than_the_school_insists(
    chosen: Choices, policy: Policy, group: rules.Group, channel: rules.Channel, children: set[UUID]
) -> None:
    found = rules.effective(wishes(chosen, policy), group, channel, children)

    assert rules.OFTEN[found] >= rules.OFTEN[rules.least(policy, group, channel)]


@given(choices, policies(), groups, st.sampled_from(["email", "in_app"]))
def test_what_concerns_two_children_is_told_as_for_the_one_it_is_wanted_most_for(
    chosen: Choices, policy: Policy, group: rules.Group, channel: rules.Channel
) -> None:
    own = wishes(chosen, policy)
    of_ada, of_ben = (rules.effective(own, group, channel, [child]) for child in (ADA, BEN))

    assert rules.effective(own, group, channel, [ADA, BEN]) == rules.more_often(of_ada, of_ben)


@given(choices, policies(), groups)
def test_a_choice_for_one_child_changes_nothing_for_the_other(
    chosen: Choices, policy: Policy, group: rules.Group
) -> None:
    without = {key: each for key, each in chosen.items() if key[0] != ADA}

    assert rules.effective(wishes(chosen, policy), group, "email", [BEN]) == rules.effective(
        wishes(without, policy), group, "email", [BEN]
    )


@given(choices, policies(), st.sampled_from(sorted(rules.GROUP_OF)))
def test_an_emergency_is_told_at_once_whatever_was_chosen(chosen: Choices, policy: Policy, category: str) -> None:
    way = rules.route(wishes(chosen, policy), category, [ADA], is_emergency=True)

    assert (way.in_app, way.email, way.is_urgent) == (True, "at_once", True)


@given(choices, policies(), st.sampled_from(sorted(rules.GROUP_OF)))
def test_besides_emergencies_only_alerts_break_quiet_hours(chosen: Choices, policy: Policy, category: str) -> None:
    way = rules.route(wishes(chosen, policy), category, [ADA], is_emergency=False)

    assert way.is_urgent == (category == "absence_alert" and policy.alerts_break_quiet_hours)


def test_every_category_that_stands_in_an_inbox_belongs_to_a_group() -> None:
    assert set(rules.GROUP_OF) == set(get_args(Category))


@given(choices, policies())
def test_what_is_shown_as_possible_can_be_saved_and_less_cannot(chosen: Choices, policy: Policy) -> None:
    shown = rules.effective_choices(wishes(chosen, policy), "guardian", [ADA])
    possible = [
        Choice(student_id=each.student_id, group=each.group, channel=each.channel, frequency=each.frequency)
        for each in shown
        if not (each.channel == "in_app" and each.frequency == "daily_digest")
    ]
    rules.require_possible(PreferencesRequest(choices=possible), policy, [ADA])

    for each in shown:
        if each.is_mandatory:
            muted = Choice(student_id=each.student_id, group=each.group, channel=each.channel, frequency="never")
            with pytest.raises(rules.MandatoryNotice):
                rules.require_possible(PreferencesRequest(choices=[muted]), policy, [ADA])


def test_nobody_chooses_for_anothers_child() -> None:
    choice = Choice(student_id=BEN, group="announcements", channel="email", frequency="never")

    with pytest.raises(NotFound):
        rules.require_possible(PreferencesRequest(choices=[choice]), DEFAULT_POLICY, [ADA])


# -- Quiet hours.


def is_quiet_by_the_clock(now: datetime, quiet: QuietHours, zone: str) -> bool:
    """As somebody would say who looks at a clock and a calendar."""
    local = now.astimezone(ZoneInfo(zone))
    today, yesterday = local.isoweekday(), (local.date() - timedelta(days=1)).isoweekday()
    at = local.time()
    if quiet.starts_at < quiet.ends_at:
        return today in quiet.days and quiet.starts_at <= at < quiet.ends_at
    return (today in quiet.days and at >= quiet.starts_at) or (yesterday in quiet.days and at < quiet.ends_at)


@given(instants, quiets, zones)
@example(instant("2026-11-01T06:30:00"), NIGHT, "America/New_York")
@example(instant("2026-03-08T06:59:59"), NIGHT, "America/New_York")
def test_when_the_clock_says_that_it_is_quiet_it_is(now: datetime, quiet: QuietHours, zone: str) -> None:
    # On the day that Samoa left out, yesterday is another day than the clock says.
    assume(not (zone == "Pacific/Apia" and now < instant("2012-01-02T00:00:00")))

    if is_quiet_by_the_clock(now, quiet, zone):
        assert hours.quiet_until(now, quiet, zone) is not None


@given(instants, quiets, zones)
def test_quiet_ends_later_and_then_it_is_not_quiet(now: datetime, quiet: QuietHours, zone: str) -> None:
    until = hours.quiet_until(now, quiet, zone)

    if until is not None:
        assert until > now
        assert hours.quiet_until(until, quiet, zone) is None


@given(instants, quiets, zones, st.floats(0, 1))
def test_quiet_has_no_hole(now: datetime, quiet: QuietHours, zone: str, part: float) -> None:
    until = hours.quiet_until(now, quiet, zone)

    if until is not None:
        between = now + (until - now - timedelta(seconds=1)) * part
        assert hours.quiet_until(between, quiet, zone) == until


@given(instants, quiets, zones)
def test_it_is_quiet_only_near_a_time_at_which_the_clock_says_so(now: datetime, quiet: QuietHours, zone: str) -> None:
    """Off by an hour at the most, in the hour that a clock shows twice; off by a day where a country left one out."""
    assume(zone != "Pacific/Apia")

    if hours.quiet_until(now, quiet, zone) is not None:
        near = (now - timedelta(hours=1), now, now + timedelta(hours=1))
        assert any(is_quiet_by_the_clock(each, quiet, zone) for each in near)


@pytest.mark.parametrize(
    ("now", "ends_at", "until"),
    [
        ("2026-01-15T03:00:00", "07:00", "2026-01-15T12:00:00"),
        ("2026-07-15T03:00:00", "07:00", "2026-07-15T11:00:00"),
        # Clocks go from 2:00 to 3:00: half past two is the instant at which they do.
        ("2026-03-08T05:00:00", "02:30", "2026-03-08T07:00:00"),
        # Clocks go from 2:00 back to 1:00: half past one comes twice, and quiet ends with the second.
        ("2026-11-01T04:00:00", "01:30", "2026-11-01T06:30:00"),
        ("2026-11-01T06:15:00", "01:30", "2026-11-01T06:30:00"),
    ],
)
def test_quiet_ends_by_the_clock_where_clocks_are_changed(now: str, ends_at: str, until: str) -> None:
    quiet = QuietHours(starts_at=time(21), ends_at=time.fromisoformat(ends_at), days=[1, 2, 3, 4, 5, 6, 7])

    assert hours.quiet_until(instant(now), quiet, "America/New_York") == instant(until)


def test_quiet_of_a_weekend_ends_on_monday() -> None:
    weekend = QuietHours(starts_at=time(0), ends_at=time(23, 59), days=[6, 7])
    friday = QuietHours(starts_at=time(18), ends_at=time(8), days=[5])

    assert hours.quiet_until(instant("2026-10-03T12:00:00"), weekend, "UTC") == instant("2026-10-03T23:59:00")
    assert hours.quiet_until(instant("2026-10-03T07:00:00"), friday, "UTC") == instant("2026-10-03T08:00:00")
    assert hours.quiet_until(instant("2026-10-04T07:00:00"), friday, "UTC") is None


# -- The hour of the digest.


@given(instants, st.integers(0, 23), st.none() | quiets, zones)
def test_a_digest_is_due_later_and_not_in_quiet_hours(
    now: datetime, hour: int, quiet: QuietHours | None, zone: str
) -> None:
    _, due_at = hours.next_digest(now, hour, quiet, zone)

    assert due_at > now
    assert hours.quiet_until(due_at, quiet, zone) is None


@given(instants, st.integers(0, 23), zones)
def test_without_quiet_hours_a_digest_is_due_within_a_day_by_the_clock(now: datetime, hour: int, zone: str) -> None:
    day, due_at = hours.next_digest(now, hour, None, zone)

    assert due_at - now <= timedelta(hours=25 if zone != "Pacific/Apia" else 49)
    assert due_at.astimezone(ZoneInfo(zone)).date() - day in {timedelta(), timedelta(days=1)}


@given(instants, st.integers(0, 23), st.none() | quiets, zones)
def test_the_digest_after_one_is_of_a_later_day(now: datetime, hour: int, quiet: QuietHours | None, zone: str) -> None:
    day, due_at = hours.next_digest(now, hour, quiet, zone)

    next_day, next_due_at = hours.next_digest(now, hour, quiet, zone, after=day)

    assert next_day > day
    assert next_due_at >= due_at


@given(instants, st.integers(0, 23), st.none() | quiets, zones, st.floats(0, 1))
def test_until_a_digest_is_due_everything_goes_into_it(
    now: datetime, hour: int, quiet: QuietHours | None, zone: str, part: float
) -> None:
    day, due_at = hours.next_digest(now, hour, quiet, zone)

    between = now + (due_at - now - timedelta(seconds=1)) * part

    assert hours.next_digest(between, hour, quiet, zone) == (day, due_at)


def test_a_digest_at_an_hour_that_the_clock_skips_is_due_when_it_does() -> None:
    found = hours.next_digest(instant("2026-03-08T05:00:00"), 2, None, "America/New_York")

    assert found == (date(2026, 3, 8), instant("2026-03-08T07:00:00"))


def test_a_digest_at_an_hour_that_comes_twice_is_due_once() -> None:
    first = hours.next_digest(instant("2026-11-01T04:00:00"), 1, None, "America/New_York")
    then = hours.next_digest(first[1], 1, None, "America/New_York")

    assert first == (date(2026, 11, 1), instant("2026-11-01T05:00:00"))
    assert then == (date(2026, 11, 2), instant("2026-11-02T06:00:00"))
