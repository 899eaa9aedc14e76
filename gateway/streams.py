"""The event streams that are open: they go on for hours, so they are counted by themselves."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Gauge

from gateway.client import ClientWatch
from shared import problems

OPEN_STREAMS: Final = Gauge("homeroom_open_streams", "Event streams that are open through this gateway.")
RETRY_AFTER: Final = {"Retry-After": "10"}


class Streams:
    """At most `limit` at once, and `per_reader` of one person, whose open pages each have one."""

    def __init__(self, *, limit: int, per_reader: int) -> None:
        self._limit = limit
        self._per_reader = per_reader
        self._readers: Counter[str] = Counter()
        self._watches: set[ClientWatch] = set()

    @contextmanager
    def opened(self, reader: str, watch: ClientWatch) -> Generator[None]:
        """Raises TooManyRequests, Unavailable."""
        if self._readers[reader] >= self._per_reader:
            raise problems.TooManyRequests(
                f"{self._per_reader} streams at once are allowed. Close one.", headers=RETRY_AFTER
            )
        if len(self._watches) >= self._limit:
            raise problems.Unavailable("Too many streams are open.", headers=RETRY_AFTER)
        self._readers[reader] += 1
        self._watches.add(watch)
        try:
            with OPEN_STREAMS.track_inprogress():
                yield
        finally:
            self._watches.discard(watch)
            self._readers[reader] -= 1
            if not self._readers[reader]:
                del self._readers[reader]

    def end_all(self) -> None:
        """They never end by themselves; their readers come again, to a gateway that stays."""
        for watch in tuple(self._watches):
            watch.cancel()
