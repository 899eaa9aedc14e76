"""The bus between services: one small protocol, two transports, one contract suite that both pass (ADR 0301)."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

RETRY_DELAYS_S = (1.0, 5.0, 30.0, 120.0, 600.0)
"""How long a failed message waits before its next attempt; after the last one it is a dead letter."""


class Outcome(Enum):
    """What becomes of a message that was handed over."""

    DONE = "done"
    """It had its effect, now or before."""
    RETRY = "retry"
    """It failed, perhaps not for ever: again after a delay, and a dead letter in the end."""
    DEAD = "dead"
    """It can never be handled: a dead letter at once."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the transport's own, for `replay`."""

    id: str
    type: str
    payload: bytes


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    payload: bytes


Handle = Callable[[bytes], Awaitable[Outcome]]


class Bus(Protocol):
    """Delivers at least once. Events of a type that nobody consumes yet are kept for those who come later."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns once all are safe. Raises BusError; then some may be, and all are to be published again."""
        ...

    async def consume(self, queue: str, types: Sequence[str], handle: Handle) -> None:
        """Hand over the messages of `types` until cancelled, several at a time. Raises BusError when it breaks."""
        ...

    async def dead_letters(self, queue: str) -> list[DeadLetter]:
        """The dead letters of a queue, oldest first."""
        ...

    async def count_dead_letters(self, queue: str) -> int: ...

    async def replay(self, queue: str, ids: Sequence[str]) -> int:
        """Put dead letters into the queue again, with all their attempts; how many."""
        ...

    async def close(self) -> None: ...


class BusError(Exception):
    """The bus does not answer, or refused."""


def bus_at(url: str, *, retry_delays_s: Sequence[float] = RETRY_DELAYS_S, concurrency: int = 3) -> Bus:
    """The bus of a URL: `amqp://…` (RabbitMQ) or `valkey://…` (streams). Connects when first used."""
    scheme = urlsplit(url).scheme
    if scheme in {"amqp", "amqps"}:
        from shared.bus.amqp import AmqpBus  # noqa: PLC0415 (a process needs one transport only)

        return AmqpBus(url, retry_delays_s=retry_delays_s, concurrency=concurrency)
    if scheme == "valkey":
        from shared.bus.valkey import ValkeyBus  # noqa: PLC0415 (as above)

        return ValkeyBus(url, retry_delays_s=retry_delays_s, concurrency=concurrency)
    raise ValueError(f"BUS_URL must begin with amqp:// or valkey://, not {scheme}://")
