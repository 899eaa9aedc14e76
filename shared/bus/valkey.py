"""Valkey streams: one stream of all events, a consumer group per service, delays in a sorted set.

`homeroom:events` → group `<service>` → (failed) `homeroom:<service>:later`, moved when due to
`homeroom:<service>:again`, which the same group reads → (given up) `homeroom:<service>:dead`. A group begins at the
oldest event that is still there. What a consumer that died had in hand is taken over after LEASE_MS.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from shared.bus import BusError, DeadLetter, Handle, Outcome, Outgoing
from shared.cancellation import stop_if_cancelled
from shared.ids import new_id

EVENTS = "homeroom:events"
BATCH = 64
BLOCK_MS = 500
LEASE_MS = 15_000
KEPT_S = 7 * 24 * 3600
TIMEOUT_S = 10.0
BROKEN = (RedisError, OSError, TimeoutError)

Message = Mapping[bytes, bytes]

# Settles a message in one step: into the next place (if any), and out of this consumer's hands.
SETTLE = """
local source, later, dead, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if ARGV[3] == 'retry' then
    redis.call('ZADD', later, ARGV[4], ARGV[5])
elseif ARGV[3] == 'dead' then
    redis.call('XADD', dead, '*', 'id', ARGV[6], 'type', ARGV[7], 'payload', ARGV[8])
end
return redis.call('XACK', source, group, ARGV[2])
"""

# Moves what is due from the sorted set into the stream of further attempts.
MOVE_DUE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
for _, entry in ipairs(due) do
    local fields = cmsgpack.unpack(entry)
    redis.call('XADD', KEYS[2], '*', 'id', fields[1], 'type', fields[2], 'attempt', fields[3], 'payload', fields[4])
    redis.call('ZREM', KEYS[1], entry)
end
return #due
"""

REPLAY = """
local replayed = 0
for index = 1, #ARGV do
    local found = redis.call('XRANGE', KEYS[1], ARGV[index], ARGV[index])
    if #found == 1 then
        local fields = {}
        for at = 1, #found[1][2], 2 do fields[found[1][2][at]] = found[1][2][at + 1] end
        local id, type, payload = fields.id, fields.type, fields.payload
        redis.call('XADD', KEYS[2], '*', 'id', id, 'type', type, 'attempt', '0', 'payload', payload)
        redis.call('XDEL', KEYS[1], ARGV[index])
        replayed = replayed + 1
    end
end
return replayed
"""


class ValkeyBus:
    def __init__(self, url: str, *, retry_delays_s: Sequence[float], concurrency: int) -> None:
        self._redis: Any = redis.asyncio.from_url(
            "redis://" + url.removeprefix("valkey://"), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._delays_s = retry_delays_s
        self._concurrency = concurrency
        self._consumer = str(new_id())

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        oldest = f"{round((time.time() - KEPT_S) * 1000)}-0"
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for each in messages:
                    fields = {"id": each.id, "type": each.type, "attempt": "0", "payload": each.payload}
                    pipeline.xadd(EVENTS, fields, minid=oldest)
                await pipeline.execute()
        except BROKEN as error:
            raise BusError(type(error).__name__) from error

    async def consume(self, queue: str, types: Sequence[str], handle: Handle) -> None:
        again = _key(queue, "again")
        try:
            for stream in (EVENTS, again):
                await self._create_group(stream, queue)
            async with asyncio.TaskGroup() as tasks:
                running = asyncio.Semaphore(self._concurrency)
                tasks.create_task(self._move_due(queue))
                tasks.create_task(self._take_over(queue, set(types), handle, running))
                while True:
                    stop_if_cancelled()
                    found = await self._redis.xreadgroup(
                        queue, self._consumer, {EVENTS: ">", again: ">"}, count=BATCH, block=BLOCK_MS
                    )
                    for stream, entries in found:
                        for entry_id, message in entries:
                            await running.acquire()
                            _begin(tasks, self._work(queue, stream, entry_id, message, set(types), handle, running))
        except (*BROKEN, ExceptionGroup) as error:
            raise BusError(type(error).__name__) from error

    async def dead_letters(self, queue: str) -> list[DeadLetter]:
        found = await self._redis.xrange(_key(queue, "dead"))
        return [
            DeadLetter(id=entry_id.decode(), type=message[b"type"].decode(), payload=message[b"payload"])
            for entry_id, message in found
        ]

    async def count_dead_letters(self, queue: str) -> int:
        try:
            return await self._redis.xlen(_key(queue, "dead"))
        except BROKEN as error:
            raise BusError(type(error).__name__) from error

    async def replay(self, queue: str, ids: Sequence[str]) -> int:
        return await self._redis.eval(REPLAY, 2, _key(queue, "dead"), _key(queue, "again"), *ids)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _create_group(self, stream: str, queue: str) -> None:
        try:
            await self._redis.xgroup_create(stream, queue, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _work(
        self,
        queue: str,
        stream: bytes | str,
        entry_id: bytes,
        message: Message,
        types: set[str],
        handle: Handle,
        running: asyncio.Semaphore,
    ) -> None:
        try:
            wanted = message[b"type"].decode() in types
            outcome = await handle(message[b"payload"]) if wanted else Outcome.DONE
            await self._settle(queue, stream, entry_id, message, outcome)
        finally:
            running.release()

    async def _settle(
        self, queue: str, stream: bytes | str, entry_id: bytes, message: Message, outcome: Outcome
    ) -> None:
        attempt = int(message[b"attempt"])
        if outcome is Outcome.RETRY and attempt >= len(self._delays_s):
            outcome = Outcome.DEAD
        due = time.time() + self._delays_s[attempt] if outcome is Outcome.RETRY else 0
        id_, type_, payload = message[b"id"], message[b"type"], message[b"payload"]
        later = _packed(id_, type_, str(attempt + 1).encode(), payload)
        await self._redis.eval(
            SETTLE,
            3,
            *(stream, _key(queue, "later"), _key(queue, "dead")),
            *(queue, entry_id, outcome.value, due, later, id_, type_, payload),
        )

    async def _move_due(self, queue: str) -> None:
        while True:
            moved = await self._redis.eval(MOVE_DUE, 2, _key(queue, "later"), _key(queue, "again"), time.time())
            stop_if_cancelled()
            await asyncio.sleep(0 if moved else 0.1)

    async def _take_over(self, queue: str, types: set[str], handle: Handle, running: asyncio.Semaphore) -> None:
        """Finish what a consumer that died had in hand. A slow one may be overtaken: the inbox makes that harmless."""
        while True:
            for stream in (EVENTS, _key(queue, "again")):
                _, entries, *_ = await self._redis.xautoclaim(stream, queue, self._consumer, LEASE_MS, count=BATCH)
                for entry_id, message in entries:
                    await running.acquire()
                    await self._work(queue, stream, entry_id, message, types, handle, running)
            stop_if_cancelled()
            await asyncio.sleep(LEASE_MS / 5000)


def _begin(tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
    """Start work in a group that may be ending because the connection broke; what was not begun is taken over later."""
    try:
        tasks.create_task(work)
    except RuntimeError:
        work.close()
        raise


def _key(queue: str, what: str) -> str:
    return f"homeroom:{queue}:{what}"


def _packed(*fields: bytes) -> bytes:
    """MessagePack's array of raw strings: what `cmsgpack.unpack` reads."""
    return bytes([0x90 + len(fields)]) + b"".join(b"\xdb" + len(each).to_bytes(4, "big") + each for each in fields)
