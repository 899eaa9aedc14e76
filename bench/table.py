"""The requirement table of the product, with what was measured beside it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bench.measures import Connections, Percentiles, Queries
from bench.peers import Measured

SLOW_ON_PURPOSE: Final = ("sign in", "sign in: told to come again")
"""Argon2 takes its time so that guessing does; it is shown by itself."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    area: str
    required: str
    measured: str
    is_met: bool


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    count: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    cpu_us_per_request: float
    """Of the whole process in the whole run, for each request that the gateway answered."""
    rss_mb: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench, as it is kept."""

    began_at: str
    commit: str
    machine: str
    users: int
    at_once: int
    seconds: float
    requests_per_minute: float
    session_seconds: float
    """How long a person was at it, on average."""
    calls: Mapping[str, Percentiles]
    answers: Percentiles
    """Of every call but the sign-in and what goes past the API."""
    queries: Queries
    connections: Connections
    alerts: Percentiles
    """From the mark to the guardian's inbox."""
    parts: Mapping[str, Part]
    failures: Sequence[Failure]
    """Mornings that could not be played to their end."""
    gateways: Mapping[str, Measured] = {}
    lists: Mapping[str, Measured] = {}
    rows: Sequence[Row] = ()


def rows_of(result: Result) -> list[Row]:
    dashboard, upload = result.calls.get("dashboard"), result.calls.get("upload of 10 MB")
    failed = sum(each.failed for each in result.calls.values()) + sum(each.count for each in result.failures)
    rows = [
        _at_least("users in 5 schools", result.users, 1000),
        _at_least("at once", result.at_once, 300),
        _at_least("API requests a minute", result.requests_per_minute, 1000),
        _at_least("database queries a minute", result.queries.per_minute, 500),
        _below("API, 95th percentile", result.answers.p95_ms, 200, "ms"),
        _below("database queries, mean", result.queries.mean_ms, 100, "ms"),
        _below("statements slower than 100 ms on average", result.queries.slower_than_100_ms, 1, ""),
        _below("database connections active at once", result.connections.active, 50, ""),
        _below("alerts, from mark to inbox, 99th percentile", result.alerts.p99_ms, 60_000, "ms"),
        _below("failed calls", failed, 1, ""),
    ]
    if dashboard:
        rows.append(_below("dashboard, 99th percentile", dashboard.p99_ms, 1000, "ms"))
    if upload:
        rows.append(_below("10 MB upload, 95th percentile", upload.p95_ms, 2000, "ms"))
    return rows


def text_of(result: Result) -> str:
    return "\n".join(
        [
            f"{result.users} people, {result.at_once} at once, {result.seconds:.0f} s",
            f"{result.machine}; {result.commit}",
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
                    for name, each in {**result.calls, "alert: mark to inbox": result.alerts}.items()
                ],
            ),
            "",
            _table(
                ("process", "CPU µs per request", "memory MB"),
                [(name, f"{each.cpu_us_per_request:.0f}", f"{each.rss_mb:.0f}") for name, each in result.parts.items()],
            ),
            *_comparison("gateway before a static upstream", "homeroom gateway", result.gateways),
            *_comparison("list a class of 20", "homeroom academic", result.lists),
            *(f"failed: {each.count} × {each.what}" for each in result.failures),
        ]
    )


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
    return Row(area=area, required=f"≥ {required}", measured=f"{measured:.0f}", is_met=measured >= required)


def _below(area: str, measured: float, required: int, unit: str) -> Row:
    shown = f"{measured:.1f}" if unit else f"{measured:.0f}"
    return Row(
        area=area,
        required=f"< {required} {unit}".strip(),
        measured=f"{shown} {unit}".strip(),
        is_met=measured < required,
    )


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
