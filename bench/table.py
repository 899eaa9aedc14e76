"""The requirement table of the product, with what was measured beside it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bench.calls import COME_AGAIN, DASHBOARDS, FILE_OPERATIONS, FOLLOWED, SIGN_IN, SIGN_INS, SPANS, UPLOAD
from bench.disturbances import Disturbance
from bench.measures import Connections, Percentiles, Queries
from bench.peers import Measured

NOT_MEASURED: Final = "not measured"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    area: str
    required: str
    measured: str
    is_met: bool
    """False as well when nothing was measured: what was not looked at is not known to be good."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    count: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    cpu_us_per_request: float
    """Of the whole process in the whole run, for each request that the gateway answered."""
    pss_mb: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench, as it is kept."""

    began_at: str
    commit: str = "unknown"
    is_dirty: bool = True
    """Whether files had been changed since that commit."""
    machine: str
    cores_given: float = 0.0
    """How many cores' work the machine did just before the rush; 0 when it is not known."""
    users: int
    """Who signed in."""
    schools: int
    """Which they belong to."""
    at_once: int
    """The most people who were in the middle of their morning at the same moment."""
    sustained: int
    """The most who were there at every moment of some minute."""
    seconds: float
    requests_per_minute: float
    session_seconds: float
    """How long a person was at it, on average."""
    calls: Mapping[str, Percentiles]
    answers: Percentiles
    """Of every call but the sign-ins and what goes past the API."""
    queries: Queries
    connections: Connections
    alerts: Percentiles
    """From the mark to the guardian's inbox."""
    alerts_expected: int
    """Students called absent by a register that was saved, each with one guardian."""
    parts: Mapping[str, Part]
    failures: Sequence[Failure]
    """Mornings that could not be played to their end."""
    standstill: Disturbance | None = None
    """Of Redis."""
    neighbour: Disturbance | None = None
    """A school that asks as much as it is answered, beside others."""
    gateways: Mapping[str, Measured] = {}
    lists: Mapping[str, Measured] = {}
    rows: Sequence[Row] = ()


def rows_of(result: Result) -> list[Row]:
    return [*_load(result), *_responses(result), *_database(result), *_arrivals(result), *_disturbed(result)]


def _load(result: Result) -> list[Row]:
    files = sum(each.count - each.failed for name, each in result.calls.items() if name in FILE_OPERATIONS)
    return [
        _at_least("users who signed in", result.users, 1000),
        _at_least("schools they are of", result.schools, 5),
        _at_least("people at once, at the peak", result.at_once, 300),
        _at_least("people at once, for a whole minute", result.sustained, 200),
        _at_least("API requests a minute", result.requests_per_minute, 1000),
        _at_least("database queries a minute", result.queries.per_minute, 500),
        _at_least("file operations a minute", files * 60 / result.seconds if result.seconds else 0, 100),
    ]


def _responses(result: Result) -> list[Row]:
    calls = result.calls
    api = {name: each for name, each in calls.items() if name not in (*SIGN_INS, *SPANS)}
    worst = max(api, key=lambda name: api[name].p95_ms, default="")
    dashboards = [_p99(calls.get(name)) for name in DASHBOARDS]
    return [
        _below("all calls but sign in, p95", _p95(result.answers), 200, "ms"),
        _below(f"worst call, p95{worst and f' ({worst})'}", _p95(api.get(worst)), 200, "ms"),
        _below("sign in, p95", _p95(calls.get(SIGN_IN)), 200, "ms"),
        _come_again(result),
        _below("dashboard of any role, p99", _worst(dashboards), 1000, "ms"),
        _below("from a save to the dashboard, p99", _p99(calls.get(FOLLOWED)), 2000, "ms"),
        _below("10 MB upload, p95", _p95(calls.get(UPLOAD)), 2000, "ms"),
        _below("failed calls", _failed(result), 1),
    ]


def _database(result: Result) -> list[Row]:
    queries, connections = result.queries, result.connections
    slow = queries.slower_than_100_ms if queries.count else None
    return [
        _below("database queries, mean", queries.mean_ms or None, 100, "ms", digits=3),
        _below("statements slower than 100 ms on average", slow, 1),
        _below("database connections active at once", connections.active or None, 50),
        _below("database connections open at once", connections.open or None, 50),
    ]


def _arrivals(result: Result) -> list[Row]:
    arrived, expected = result.alerts.count, result.alerts_expected
    is_whole = arrived == expected > 0
    return [
        Row(
            area="alerts that arrived",
            required=f"= {expected}" if expected else "> 0",
            measured=str(arrived) if expected else NOT_MEASURED,
            is_met=is_whole,
        ),
        _below("alerts, from mark to inbox, p99", _p99(result.alerts) if is_whole else None, 60_000, "ms"),
    ]


def _disturbed(result: Result) -> list[Row]:
    frozen, noisy = _seen(result.standstill), _seen(result.neighbour)
    what, others = "calls while Redis stands still", "calls beside a noisy school"
    return [
        _below(f"{what}, added p99", frozen.added_p99_ms if frozen else None, 50, "ms"),
        _below(f"{what}, failed", frozen.during.failed if frozen else None, 1),
        _below(f"{others}, p99 to p99 without", noisy.p99_ratio if noisy else None, 1.2, "×"),
        _below(f"{others}, failed", noisy.during.failed if noisy else None, 1),
    ]


def _seen(disturbance: Disturbance | None) -> Disturbance | None:
    """None as well where one side of it is missing, or where nobody was heard who should have disturbed."""
    if disturbance is None:
        return None
    sides = (disturbance.before, disturbance.during, disturbance.noise)
    return disturbance if all(each.count for each in sides if each) else None


def _come_again(result: Result) -> Row:
    """No limit is set to it, but it is not to be overlooked: it is why a sign-in is slow."""
    signed_in, again = result.calls.get(SIGN_IN), result.calls.get(COME_AGAIN)
    count = again.count if again else 0
    return Row(
        area="sign-ins told to come again (503)",
        required="all come in",
        measured=f"{count} of {signed_in.count + count}" if signed_in else NOT_MEASURED,
        is_met=signed_in is not None and signed_in.count > 0 and signed_in.failed == 0,
    )


def _failed(result: Result) -> int | None:
    """Calls, and mornings that ended for another reason. None without a call."""
    if not sum(each.count for each in result.calls.values()):
        return None
    return sum(each.failed for each in result.calls.values()) + sum(each.count for each in result.failures)


def _p95(of: Percentiles | None) -> float | None:
    return of.p95_ms if of and of.count else None


def _p99(of: Percentiles | None) -> float | None:
    return of.p99_ms if of and of.count else None


def _worst(measured: Sequence[float | None]) -> float | None:
    """None when one of them is missing: that one may be worse than any that is known."""
    known = [each for each in measured if each is not None]
    return max(known) if len(known) == len(measured) else None


def text_of(result: Result) -> str:
    return "\n".join(
        [
            f"{result.users} people, {result.at_once} at once, {result.seconds:.0f} s",
            f"{result.machine}, {result.cores_given:.1f} cores given; {_files(result)}",
            "",
            _table(
                ("requirement", "required", "measured", ""),
                [(row.area, row.required, row.measured, "met" if row.is_met else "NOT MET") for row in result.rows],
            ),
            "",
            _table(
                ("call", "count", "p50 ms", "p95 ms", "p99 ms", "failed"),
                [
                    (name, str(each.count), _ms(each.p50_ms), _ms(each.p95_ms), _ms(each.p99_ms), str(each.failed))
                    for name, each in {**result.calls, **_besides(result)}.items()
                ],
            ),
            "",
            _table(
                ("process", "CPU µs per request", "memory MB"),
                [(name, f"{each.cpu_us_per_request:.0f}", f"{each.pss_mb:.0f}") for name, each in result.parts.items()],
            ),
            *_comparison("gateway before a static upstream", "homeroom gateway", result.gateways),
            *_comparison("list a class of 20", "homeroom academic", result.lists),
            *(f"failed: {each.count} × {each.what}" for each in result.failures),
        ]
    )


def _besides(result: Result) -> dict[str, Percentiles]:
    calls: dict[str, Percentiles] = {}
    if frozen := result.standstill:
        calls |= {"a call before Redis stood still": frozen.before, "a call while it did": frozen.during}
    if noisy := result.neighbour:
        calls |= {"a call before one school was noisy": noisy.before, "a call while it was": noisy.during}
        calls |= {"a call of the noisy school": noisy.noise} if noisy.noise else {}
    return {"alert: mark to inbox": result.alerts, **calls}


def _files(result: Result) -> str:
    return f"{result.commit} with changes" if result.is_dirty else result.commit


def _comparison(title: str, ours: str, measured: Mapping[str, Measured]) -> list[str]:
    if ours not in measured:
        return []
    own = measured[ours]
    lines = [
        (
            name,
            f"{each.requests_per_s:.0f}",
            f"{each.requests_per_s / own.requests_per_s:.2f}",
            f"{each.cpu_us:.0f}",
            _ms(each.p50_ms),
            _ms(each.p99_ms),
        )
        for name, each in measured.items()
    ]
    return ["", _table((title, "requests/s", "× ours", "CPU µs", "p50 ms", "p99 ms"), lines)]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[at]) for line in [head, *lines]) for at in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [head, ["-" * width for width in widths], *lines]
    )


def _at_least(area: str, measured: float, required: int) -> Row:
    shown = f"{measured:.0f}" if measured else NOT_MEASURED
    return Row(area=area, required=f"≥ {required}", measured=shown, is_met=measured >= required)


def _below(area: str, measured: float | None, required: float, unit: str = "", *, digits: int = 1) -> Row:
    limit = f"< {required} {unit}".strip()
    if measured is None:
        return Row(area=area, required=limit, measured=NOT_MEASURED, is_met=False)
    shown = f"{measured:.{digits}f} {unit}" if unit else f"{measured:.0f}"
    return Row(area=area, required=limit, measured=shown, is_met=measured < required)


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
