"""The requirement table says "met" only of what was measured and is good."""

from typing import Any

import msgspec
import pytest

from bench.calls import COME_AGAIN, DOWNLOAD, FOLLOWED, GUARDIAN_DAY, OFFICE_DAY, SIGN_IN, TEACHER_DAY, UPLOAD
from bench.disturbances import Disturbance
from bench.measures import Connections, Percentiles, Queries
from bench.table import NOT_MEASURED, Failure, Result, Row, rows_of, text_of

NOTHING = Percentiles(count=0, p50_ms=0.0, p95_ms=0.0, p99_ms=0.0)


def taking(ms: float, *, count: int = 100, failed: int = 0) -> Percentiles:
    return Percentiles(count=count, p50_ms=ms, p95_ms=ms, p99_ms=ms, failed=failed)


EMPTY = Result(
    began_at="2026-09-01T08:00:00+00:00",
    machine="2 cores",
    cores_given=1.25,
    users=0,
    schools=0,
    at_once=0,
    sustained=0,
    seconds=0.0,
    requests_per_minute=0.0,
    session_seconds=0.0,
    calls={},
    answers=NOTHING,
    queries=Queries(count=0, per_minute=0.0, mean_ms=0.0, longest_ms=0.0, slower_than_100_ms=0),
    connections=Connections(),
    alerts=NOTHING,
    alerts_expected=0,
    parts={},
    failures=[],
)
GOOD_CALLS = {
    SIGN_IN: taking(150),
    COME_AGAIN: taking(5, count=3),
    OFFICE_DAY: taking(40),
    TEACHER_DAY: taking(40),
    GUARDIAN_DAY: taking(40),
    "save a register": taking(190),
    FOLLOWED: taking(1500),
    UPLOAD: taking(400, count=50),
    DOWNLOAD: taking(5, count=300),
}
GOOD = msgspec.structs.replace(
    EMPTY,
    users=1000,
    schools=5,
    at_once=300,
    sustained=200,
    seconds=120.0,
    requests_per_minute=5000.0,
    calls=GOOD_CALLS,
    answers=taking(100),
    queries=Queries(count=90_000, per_minute=45_000.0, mean_ms=0.0213, longest_ms=12.0, slower_than_100_ms=0),
    connections=Connections(open=44, active=8, samples=400),
    alerts=taking(500, count=194),
    alerts_expected=194,
    standstill=Disturbance(before=taking(40, count=600), during=taking(89, count=1200)),
    neighbour=Disturbance(before=taking(40, count=600), during=taking(47, count=1200)),
)


def with_call(name: str, measured: Percentiles) -> Result:
    return msgspec.structs.replace(GOOD, calls={**GOOD_CALLS, name: measured})


def without_call(*names: str) -> Result:
    return msgspec.structs.replace(GOOD, calls={name: each for name, each in GOOD_CALLS.items() if name not in names})


def changed(**values: Any) -> Result:
    return msgspec.structs.replace(GOOD, **values)


def queries(**values: Any) -> Result:
    return changed(queries=msgspec.structs.replace(GOOD.queries, **values))


def standing_still(during: Percentiles) -> Result:
    return changed(standstill=Disturbance(before=taking(40), during=during))


def beside_noise(during: Percentiles, noise: Percentiles | None = None) -> Result:
    return changed(neighbour=Disturbance(before=taking(40), during=during, noise=noise or taking(20, failed=50)))


def unmet(result: Result) -> set[str]:
    return {row.area for row in rows_of(result) if not row.is_met}


def row(result: Result, area: str) -> Row:
    return next(each for each in rows_of(result) if each.area.startswith(area))


def test_where_nothing_was_measured_nothing_is_met() -> None:
    rows = rows_of(EMPTY)

    assert [each.area for each in rows if each.is_met] == []
    assert {each.measured for each in rows} == {NOT_MEASURED}


def test_control_good_figures_are_met() -> None:
    assert unmet(GOOD) == set()


def test_no_row_depends_on_what_was_measured() -> None:
    def areas(result: Result) -> list[str]:
        return [each.area.partition(" (save")[0] for each in rows_of(result)]

    assert areas(EMPTY) == areas(GOOD)


@pytest.mark.parametrize(
    ("result", "area"),
    [
        (changed(users=999), "users who signed in"),
        (changed(schools=4), "schools they are of"),
        (changed(at_once=299), "people at once, at the peak"),
        (changed(sustained=199), "people at once, for a whole minute"),
        (changed(requests_per_minute=999), "API requests a minute"),
        (queries(per_minute=499), "database queries a minute"),
        (with_call(DOWNLOAD, taking(5, count=149)), "file operations a minute"),
        (changed(answers=taking(200)), "all calls but sign in, p95"),
        (with_call("save a register", taking(200)), "worst call, p95 (save a register)"),
        (with_call(SIGN_IN, taking(200)), "sign in, p95"),
        (with_call(FOLLOWED, taking(2000)), "from a save to the dashboard, p99"),
        (with_call(UPLOAD, taking(2000)), "10 MB upload, p95"),
        (queries(mean_ms=100), "database queries, mean"),
        (queries(slower_than_100_ms=1), "statements slower than 100 ms on average"),
        (changed(connections=Connections(open=49, active=50, samples=1)), "database connections active at once"),
        (changed(connections=Connections(open=50, active=8, samples=1)), "database connections open at once"),
        (changed(alerts=taking(60_000, count=194)), "alerts, from mark to inbox, p99"),
        (standing_still(taking(90)), "calls while Redis stands still, added p99"),
        (standing_still(taking(40, failed=1)), "calls while Redis stands still, failed"),
        (beside_noise(taking(48)), "calls beside a noisy school, p99 to p99 without"),
        (beside_noise(taking(40, failed=1)), "calls beside a noisy school, failed"),
        (with_call("class list", taking(5, failed=1)), "failed calls"),
        (changed(failures=[Failure(what="teacher: gone", count=1)]), "failed calls"),
    ],
)
def test_a_broken_limit_is_not_met(result: Result, area: str) -> None:
    assert unmet(result) == {area}


@pytest.mark.parametrize("name", [OFFICE_DAY, TEACHER_DAY, GUARDIAN_DAY])
def test_the_dashboard_of_every_role_counts(name: str) -> None:
    slow, missing = with_call(name, taking(1000)), without_call(name)

    assert not row(slow, "dashboard of any role").is_met
    assert row(missing, "dashboard of any role").measured == NOT_MEASURED


@pytest.mark.parametrize(
    ("result", "areas"),
    [
        (without_call(UPLOAD), {"10 MB upload, p95"}),
        (without_call(FOLLOWED), {"from a save to the dashboard, p99"}),
        (without_call(SIGN_IN), {"sign in, p95", "sign-ins told to come again (503)"}),
        (changed(answers=NOTHING), {"all calls but sign in, p95"}),
        (
            standing_still(NOTHING),
            {"calls while Redis stands still, added p99", "calls while Redis stands still, failed"},
        ),
        (
            beside_noise(NOTHING),
            {"calls beside a noisy school, p99 to p99 without", "calls beside a noisy school, failed"},
        ),
        (
            beside_noise(taking(40), noise=NOTHING),
            {"calls beside a noisy school, p99 to p99 without", "calls beside a noisy school, failed"},
        ),
        (
            changed(connections=Connections()),
            {"database connections active at once", "database connections open at once"},
        ),
    ],
)
def test_what_is_missing_is_not_met(result: Result, areas: set[str]) -> None:
    assert unmet(result) == areas


@pytest.mark.parametrize("arrived", [0, 193, 195])
def test_each_alert_that_is_expected_arrives_once(arrived: int) -> None:
    result = changed(alerts=taking(500, count=arrived) if arrived else NOTHING)

    assert unmet(result) == {"alerts that arrived", "alerts, from mark to inbox, p99"}
    assert row(result, "alerts that arrived").measured == str(arrived)


def test_who_was_told_to_come_again_is_shown_and_must_have_come_in() -> None:
    area = "sign-ins told to come again (503)"

    assert row(GOOD, area).measured == "3 of 103"
    assert row(without_call(COME_AGAIN), area).measured == "0 of 100"
    assert area in unmet(with_call(SIGN_IN, taking(150, failed=1)))


@pytest.mark.parametrize("hidden", [SIGN_IN, COME_AGAIN, UPLOAD, DOWNLOAD, FOLLOWED])
def test_the_worst_call_is_one_of_the_api(hidden: str) -> None:
    assert row(with_call(hidden, taking(1999)), "worst call").measured == "190.0 ms"


def test_the_mean_of_the_queries_has_digits_enough_to_be_read() -> None:
    assert row(GOOD, "database queries, mean").measured == "0.021 ms"


@pytest.mark.parametrize(("is_dirty", "shown"), [(True, "; abc with changes"), (False, "; abc\n")])
def test_the_text_says_of_which_files_it_speaks(is_dirty: bool, shown: str) -> None:
    assert shown in text_of(changed(commit="abc", is_dirty=is_dirty))


def test_the_text_shows_every_row() -> None:
    result = changed(rows=rows_of(GOOD))

    assert all(each.area in text_of(result) for each in result.rows)
