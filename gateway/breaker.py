"""A circuit breaker: an upstream that keeps failing gets a rest, and its callers an answer at once."""

import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` in a row; `open_s` later one probe at a time may pass, until one succeeds."""

    def __init__(self, *, failures: int, open_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._open_s = open_s
        self._clock = clock
        self._failures = 0
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    @property
    def retry_after_s(self) -> float:
        return max(0.0, self._closed_at - self._clock())

    def admits(self) -> bool:
        """Whether a request may pass. The one that passes while the circuit is open is the probe."""
        if not self.is_open:
            return True
        if self._clock() < self._closed_at:
            return False
        self._closed_at = self._clock() + self._open_s
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self.is_open:
            self._closed_at = self._clock() + self._open_s
