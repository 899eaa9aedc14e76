"""Whatever comes in whichever order, guardians hear of an absence once, and last of what is true."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.alerts import rules
from services.notification.alerts.schemas import Alert, AlertState

START = datetime(2026, 9, 1, 8, tzinfo=UTC)
GRACE_MINUTES = 10
DAY = date(2026, 9, 1)


class Saved(msgspec.Struct, frozen=True):
    """A register was saved: what `academic` tells, and which version of the student's day it is."""

    version: int
    is_absent: bool


class Look(msgspec.Struct, frozen=True):
    """The worker looks whether the grace period is over, so many minutes later."""

    minutes: int
    is_too_late: bool = False
    has_recipients: bool = True


class Day:
    """One student's day, moved as the actions move it; `told` is what guardians heard, in order."""

    def __init__(self) -> None:
        self.alert, self.version, self.now = Alert(), 0, START
        self.told: list[tuple[str, int]] = []

    def take(self, step: Saved | Look) -> None:
        self._saved(step) if isinstance(step, Saved) else self._looked(step)

    def end(self) -> AlertState:
        """Once everything came in and all grace is over."""
        self.take(Look(minutes=2 * GRACE_MINUTES))
        return self.alert.state

    def _saved(self, step: Saved) -> None:
        if rules.is_stale(step.version, known=self.version):
            return
        before, self.version = self.alert, step.version
        due_at = rules.due_at(self.now, GRACE_MINUTES)
        self.alert = rules.after_register(before, is_absent=step.is_absent, due_at=due_at)
        if rules.must_correct(before, self.alert):
            self.told.append(("correction", self.alert.episode))

    def _looked(self, step: Look) -> None:
        self.now += timedelta(minutes=step.minutes)
        before = self.alert
        self.alert = rules.after_grace(
            before, now=self.now, is_too_late=step.is_too_late, has_recipients=step.has_recipients
        )
        if rules.must_tell(before, self.alert):
            self.told.append(("alert", self.alert.episode))


def after(steps: list[Saved | Look]) -> Day:
    day = Day()
    for step in steps:
        day.take(step)
    return day


histories = st.lists(st.booleans(), min_size=1, max_size=6).map(
    lambda absences: [Saved(version, is_absent) for version, is_absent in enumerate(absences, start=1)]
)
looks = st.builds(Look, st.integers(0, 2 * GRACE_MINUTES))
any_looks = st.builds(Look, st.integers(0, 2 * GRACE_MINUTES), st.booleans(), st.booleans())


@st.composite
def deliveries(
    draw: st.DrawFn, between: st.SearchStrategy[Look] | None = looks
) -> tuple[list[Saved], list[Saved | Look]]:
    """A history, and how it arrives: in any order, each event once or more, with looks in between."""
    history = draw(histories)
    repeats = draw(st.lists(st.sampled_from(history), max_size=6))
    arrived = draw(st.permutations([*history, *repeats]))
    steps: list[Saved | Look] = []
    for each in arrived:
        steps += [each, *(draw(st.lists(between, max_size=2)) if between is not None else ())]
    return history, steps


@given(deliveries(between=None))
def test_events_in_any_order_and_number_end_in_the_same_state(delivery: tuple[list[Saved], list[Saved | Look]]) -> None:
    history, arrived = delivery
    in_order = after([*history])

    day = after(arrived)

    assert day.alert.state == in_order.alert.state
    assert (day.end(), day.told) == (in_order.end(), in_order.told)


@given(deliveries())
def test_what_guardians_heard_last_is_what_the_newest_register_says(
    delivery: tuple[list[Saved], list[Saved | Look]],
) -> None:
    history, arrived = delivery

    day = after(arrived)
    state = day.end()

    assert (state == "sent") == history[-1].is_absent
    assert (day.told[-1:] != [] and day.told[-1][0] == "alert") == history[-1].is_absent


@given(deliveries(between=any_looks))
def test_never_two_alerts_without_a_correction_between(delivery: tuple[list[Saved], list[Saved | Look]]) -> None:
    _, arrived = delivery

    day = after(arrived)
    day.end()

    kinds = [kind for kind, _ in day.told]
    assert kinds == ["alert", "correction"] * (len(kinds) // 2) + ["alert"] * (len(kinds) % 2)


@given(deliveries(between=any_looks))
def test_each_alert_has_an_episode_of_its_own_and_its_correction_the_same(
    delivery: tuple[list[Saved], list[Saved | Look]],
) -> None:
    _, arrived = delivery

    day = after(arrived)
    day.end()

    alerts = [episode for kind, episode in day.told if kind == "alert"]
    corrections = [episode for kind, episode in day.told if kind == "correction"]
    assert alerts == sorted(set(alerts))
    assert corrections == alerts[: len(corrections)]


@given(deliveries(between=any_looks), looks)
def test_looking_again_tells_nothing_again(delivery: tuple[list[Saved], list[Saved | Look]], again: Look) -> None:
    _, arrived = delivery
    day = after(arrived)
    day.end()
    told = list(day.told)

    day.take(again)

    assert day.told == told


@given(deliveries(between=any_looks))
def test_an_alert_has_a_due_time_only_while_pending_and_a_reason_only_when_withheld(
    delivery: tuple[list[Saved], list[Saved | Look]],
) -> None:
    _, arrived = delivery
    day = Day()

    for step in arrived:
        day.take(step)
        assert (day.alert.state == "pending") == (day.alert.due_at is not None)
        assert (day.alert.state == "withheld") == (day.alert.reason is not None)


def test_a_further_lesson_does_not_prolong_the_grace_period() -> None:
    pending = Alert(state="pending", due_at=START)

    later = rules.after_register(pending, is_absent=True, due_at=START + timedelta(hours=1))

    assert later == pending


def test_nothing_is_told_before_the_grace_period_is_over() -> None:
    pending = Alert(state="pending", due_at=START)

    early = rules.after_grace(pending, now=START - timedelta(seconds=1), is_too_late=False, has_recipients=True)
    on_time = rules.after_grace(pending, now=START, is_too_late=False, has_recipients=True)

    assert early == pending
    assert on_time == Alert(state="sent")


def test_what_came_too_late_stays_untold_when_another_lesson_is_missed() -> None:
    withheld = Alert(state="withheld", reason="too_late")

    assert rules.after_register(withheld, is_absent=True, due_at=START) == withheld


def test_what_there_was_nobody_to_tell_of_is_tried_again_when_another_lesson_is_missed() -> None:
    withheld = Alert(state="withheld", reason="nobody_to_tell")

    again = rules.after_register(withheld, is_absent=True, due_at=START)

    assert again == Alert(state="pending", due_at=START)


@pytest.mark.parametrize(
    ("now", "time_zone", "is_too_late"),
    [
        # The day of 1 September ends at 04:00 UTC of the next in New York, at 10:00 UTC of the same on Kiritimati.
        ("2026-09-03T04:00:00", "America/New_York", False),
        ("2026-09-03T04:00:01", "America/New_York", True),
        ("2026-09-02T10:00:00", "Pacific/Kiritimati", False),
        ("2026-09-02T10:00:01", "Pacific/Kiritimati", True),
    ],
)
def test_a_day_is_too_long_ago_by_the_clock_of_the_school(now: str, time_zone: str, is_too_late: bool) -> None:
    instant = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert rules.is_too_late(DAY, now=instant, time_zone=time_zone, max_age_h=24) is is_too_late


def test_a_day_of_25_hours_ends_when_its_clocks_say() -> None:
    # On 1 November 2026 New York falls back: its day ends at 05:00 UTC.
    end = datetime(2026, 11, 2, 5, tzinfo=UTC)

    on_time = rules.is_too_late(date(2026, 11, 1), now=end, time_zone="America/New_York", max_age_h=0)
    later = rules.is_too_late(
        date(2026, 11, 1), now=end + timedelta(seconds=1), time_zone="America/New_York", max_age_h=0
    )

    assert (on_time, later) == (False, True)
