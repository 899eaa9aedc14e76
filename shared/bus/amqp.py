"""RabbitMQ: a topic exchange, a quorum queue per consuming service, delays and dead letters as queues of their own.

`homeroom.events` → `<service>` → (failed) `<service>.retry.<n>`, whose messages expire back into `<service>` →
(given up) `<service>.dead`. What nobody consumes yet goes to `homeroom.unclaimed`, and a consumer that begins to ask
for new types publishes all of that once more.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aiormq.exceptions import AMQPError

from shared.bus import BusError, DeadLetter, Handle, Outcome, Outgoing

EXCHANGE = "homeroom.events"
UNCLAIMED = "homeroom.unclaimed"
ATTEMPT = "x-homeroom-attempt"
TIMEOUT_S = 10.0
PREFETCH = 64
UNCLAIMED_TTL_MS = 7 * 24 * 3600 * 1000
AGAIN_LIMIT = 100_000
BROKEN = (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError)

QUORUM = {"x-queue-type": "quorum"}
# A quorum queue hands on expired messages only after the next queue has them, if it may refuse new ones.
SAFE_TRANSFER = {**QUORUM, "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


class Link(aio_pika.Connection):
    """Closed by us, never by the collector: the library's destructor begins a coroutine wherever it happens to run."""

    def __del__(self) -> None:
        pass


class AmqpBus:
    def __init__(self, url: str, *, retry_delays_s: Sequence[float], concurrency: int) -> None:
        self._url = url
        self._delays_s = retry_delays_s
        self._concurrency = concurrency
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                exchange = await self._open()
                await asyncio.gather(*(exchange.publish(_message(each), each.type) for each in messages))
        except BROKEN as error:
            await self.close()
            raise BusError(type(error).__name__) from error

    async def consume(self, queue: str, types: Sequence[str], handle: Handle) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                exchange = await self._open()
                channel = await self._new_channel()
                incoming = await self._declare(channel, queue)
                for type_ in types:
                    await incoming.bind(exchange, type_)
                await self._publish_unclaimed_again(channel, exchange)
            await self._hand_over(channel, incoming, handle)
        except (*BROKEN, ExceptionGroup) as error:
            await self.close()
            raise BusError(type(error).__name__) from error

    async def dead_letters(self, queue: str) -> list[DeadLetter]:
        async with await self._new_channel() as channel:
            dead = await self._declare_dead(channel, queue)
            found: list[DeadLetter] = []
            # Never acknowledged: closing the channel gives them all back, in their places.
            while message := await dead.get(fail=False, timeout=TIMEOUT_S):
                found.append(_dead_letter(message))
            return found

    async def count_dead_letters(self, queue: str) -> int:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._open()
                async with await self._new_channel() as channel:
                    dead = await self._declare_dead(channel, queue)
                    return dead.declaration_result.message_count or 0
        except BROKEN as error:
            raise BusError(type(error).__name__) from error

    async def replay(self, queue: str, ids: Sequence[str]) -> int:
        async with await self._new_channel() as channel:
            await self._declare(channel, queue)
            dead = await self._declare_dead(channel, queue)
            replayed = 0
            while message := await dead.get(fail=False, timeout=TIMEOUT_S):
                if message.message_id in ids:
                    await channel.default_exchange.publish(_again(message, attempt=0), queue, timeout=TIMEOUT_S)
                    await message.ack()
                    replayed += 1
            return replayed

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(*BROKEN):
                await connection.close()

    async def _open(self) -> AbstractExchange:
        async with self._lock:
            if self._connection is None or self._connection.is_closed or self._exchange is None:
                self._connection = await aio_pika.connect(self._url, timeout=TIMEOUT_S, connection_class=Link)
                self._channel = await self._new_channel()
                self._exchange = await _declare_exchange(self._channel)
            return self._exchange

    async def _new_channel(self) -> AbstractChannel:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aio_pika.connect(self._url, timeout=TIMEOUT_S, connection_class=Link)
        return await self._connection.channel(publisher_confirms=True, on_return_raises=True)

    async def _declare(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        """The queue of a service with its delays and its dead letters."""
        await self._declare_dead(channel, queue)
        for number, delay_s in enumerate(self._delays_s):
            back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
            expiry = {"x-message-ttl": round(delay_s * 1000)}
            await channel.declare_queue(
                _retry_queue(queue, number, delay_s), durable=True, arguments={**SAFE_TRANSFER, **back, **expiry}
            )
        return await channel.declare_queue(queue, durable=True, arguments={**QUORUM})

    async def _declare_dead(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        return await channel.declare_queue(f"{queue}.dead", durable=True, arguments={**QUORUM})

    async def _publish_unclaimed_again(self, channel: AbstractChannel, exchange: AbstractExchange) -> None:
        unclaimed = await channel.get_queue(UNCLAIMED)
        waiting = unclaimed.declaration_result.message_count or 0
        for _ in range(min(waiting, AGAIN_LIMIT)):
            message = await unclaimed.get(fail=False, timeout=TIMEOUT_S)
            if message is None:
                return
            await exchange.publish(_again(message, attempt=0), message.type or "", timeout=TIMEOUT_S)
            await message.ack()

    async def _hand_over(self, channel: AbstractChannel, incoming: AbstractQueue, handle: Handle) -> None:
        await channel.set_qos(prefetch_count=PREFETCH)
        running = asyncio.Semaphore(self._concurrency)

        async def on_message(message: AbstractIncomingMessage) -> None:
            async with running:
                await self._settle(channel, incoming.name, message, await handle(message.body))

        async with incoming.iterator() as messages, asyncio.TaskGroup() as tasks:
            async for message in messages:
                tasks.create_task(on_message(message))
        raise ConnectionError("The consumer was cancelled by the broker.")

    async def _settle(
        self, channel: AbstractChannel, queue: str, message: AbstractIncomingMessage, outcome: Outcome
    ) -> None:
        """Pass the message on, then acknowledge it: a crash between the two doubles it, and never loses it."""
        attempt = int(str(message.headers.get(ATTEMPT, 0)))
        if outcome is Outcome.RETRY and attempt < len(self._delays_s):
            target = _retry_queue(queue, attempt, self._delays_s[attempt])
            await channel.default_exchange.publish(_again(message, attempt=attempt + 1), target, timeout=TIMEOUT_S)
        elif outcome is not Outcome.DONE:
            await channel.default_exchange.publish(_again(message, attempt=attempt), f"{queue}.dead", timeout=TIMEOUT_S)
        await message.ack()


async def _declare_exchange(channel: AbstractChannel) -> AbstractExchange:
    unclaimed = await channel.declare_exchange(UNCLAIMED, aio_pika.ExchangeType.FANOUT, durable=True)
    waiting = await channel.declare_queue(
        UNCLAIMED, durable=True, arguments={**QUORUM, "x-message-ttl": UNCLAIMED_TTL_MS}
    )
    await waiting.bind(unclaimed)
    return await channel.declare_exchange(
        EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True, arguments={"alternate-exchange": UNCLAIMED}
    )


def _retry_queue(queue: str, number: int, delay_s: float) -> str:
    # The delay is part of the name: a queue's arguments cannot change, and neither can a queue's delay.
    return f"{queue}.retry.{number}.{delay_s:g}s"


def _message(outgoing: Outgoing) -> aio_pika.Message:
    return aio_pika.Message(
        outgoing.payload,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        content_type="application/cloudevents+json",
        message_id=outgoing.id,
        type=outgoing.type,
    )


def _again(message: AbstractIncomingMessage, *, attempt: int) -> aio_pika.Message:
    copy = _message(Outgoing(id=message.message_id or "", type=message.type or "", payload=message.body))
    copy.headers[ATTEMPT] = attempt
    return copy


def _dead_letter(message: AbstractIncomingMessage) -> DeadLetter:
    return DeadLetter(id=message.message_id or "", type=message.type or "", payload=message.body)
