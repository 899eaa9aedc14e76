"""How long people stay signed in, and how many are: for operators, without a name."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Gauge, Histogram

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S

SESSION_SECONDS: Final = Histogram(
    "homeroom_session_seconds",
    "From sign-in to the end of a session, or to the last sign of life of one that was left.",
    buckets=(MINUTE_S, 15 * MINUTE_S, HOUR_S, 4 * HOUR_S, 8 * HOUR_S, DAY_S, 7 * DAY_S, 30 * DAY_S),
)
SESSIONS_ACTIVE: Final = Gauge("homeroom_sessions_active", "Sessions whose tokens were refreshed lately.")


def observe(seconds: Iterable[float | None]) -> None:
    for each in seconds:
        if each is not None:
            SESSION_SECONDS.observe(each)
