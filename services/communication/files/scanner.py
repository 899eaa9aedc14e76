"""What clamd says of a file (ADR 0903). Only what it calls clean is clean: whatever else happens, nobody knows."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Final, Literal, get_args
from uuid import UUID
from weakref import WeakValueDictionary

import structlog
from prometheus_client import Counter, Histogram

from services.communication.files.schemas import Fault
from services.communication.settings import Settings
from shared.problems import Unavailable

log = structlog.get_logger()

LARGE_BYTES: Final = 1024 * 1024
WAIT_S: Final = 1.0
"""How long a file may wait for its turn: who waits longer holds up what asks after it."""
ANSWER_BYTES: Final = 1024
FOUND: Final = re.compile(rb"stream: (?P<signature>.+) FOUND")
LIMIT: Final = b"Heuristics.Limits.Exceeded."
"""What clamd finds where it would have had to unpack more than its limits (`AlertExceedsMax`)."""

Outcome = Literal["clean", "infected", "too_large", "timeout", "unreachable", "error", "busy", "unscanned"]

SCANS: Final = Counter("homeroom_file_scans_total", "What became of scans of uploaded files.", ("outcome",))
for each in get_args(Outcome):
    SCANS.labels(each)  # told from the start, so that the first of its kind is seen as one more
SCAN_SECONDS: Final = Histogram(
    "homeroom_file_scan_seconds",
    "From a scan's turn to what came of it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class NotKnown(Exception):
    """Clamd did not say whether a file is clean."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome: Outcome = outcome


class Scanner:
    """Asks clamd, of so many small files and so many large ones at a time, half of them of one school at the most.

    So what is slow at large files, or at those of one school, holds up no others.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = settings.scanner_address
        self._timeout_s = settings.scanner_timeout_s
        self._max_scans = settings.scanner_max_scans
        self._turns = {is_large: asyncio.Semaphore(self._max_scans) for is_large in (False, True)}
        self._of_school: WeakValueDictionary[tuple[UUID, bool], asyncio.Semaphore] = WeakValueDictionary()

    async def fault_of(self, school_id: UUID, pieces: AsyncIterable[bytes], *, size_bytes: int) -> Fault | None:
        """None when all `size_bytes` were found clean, or no scanner is configured. Raises Unavailable, if unsure."""
        if self._address is None:
            SCANS.labels("unscanned").inc()
            return None
        try:
            async with self._turn(school_id, is_large=size_bytes > LARGE_BYTES):
                outcome = await self._outcome(self._address, pieces, size_bytes)
        except NotKnown as error:
            SCANS.labels(error.outcome).inc()
            log.warning("file_not_scanned", outcome=error.outcome)
            headers = {"Retry-After": "2" if error.outcome == "busy" else "30"}
            raise Unavailable("The file could not be scanned now; complete it again.", headers=headers) from error
        SCANS.labels(outcome).inc()
        return FAULTS[outcome]

    @asynccontextmanager
    async def _turn(self, school_id: UUID, *, is_large: bool) -> AsyncGenerator[None]:
        half = asyncio.Semaphore(max(1, self._max_scans // 2))
        own = self._of_school.setdefault((school_id, is_large), half)
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(WAIT_S):
                    await turns.enter_async_context(own)
                    await turns.enter_async_context(self._turns[is_large])
            except TimeoutError as error:
                raise NotKnown("busy") from error
            yield

    async def _outcome(self, address: tuple[str, int], pieces: AsyncIterable[bytes], size_bytes: int) -> Outcome:
        began = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                return outcome_of(await ask(address, pieces, size_bytes=size_bytes))
        except TimeoutError as error:
            raise NotKnown("timeout") from error
        finally:
            SCAN_SECONDS.observe(perf_counter() - began)


FAULTS: Final[dict[Outcome, Fault | None]] = {
    "clean": None,
    "infected": "infected",
    "too_large": "unpacks_too_large",
}


def outcome_of(answer: bytes) -> Outcome:
    """What an answer to INSTREAM says of the file. Raises NotKnown."""
    if answer == b"stream: OK":
        return "clean"
    found = FOUND.fullmatch(answer)
    if found is None:
        raise NotKnown("error")
    signature = found["signature"]
    if not signature.startswith(LIMIT):
        log.warning("file_infected", signature=signature.decode(errors="replace"))
        return "infected"
    if signature == LIMIT + b"MaxScanTime":
        raise NotKnown("timeout")
    return "too_large"


async def ask(address: tuple[str, int], pieces: AsyncIterable[bytes], *, size_bytes: int) -> bytes:
    """Clamd's answer to INSTREAM: pieces with their lengths before them, and a length of nothing at the end.

    Raises NotKnown when it does not take all of the file, or does not answer. Waits for ever.
    """
    try:
        reader, writer = await asyncio.open_connection(*address, limit=ANSWER_BYTES)
    except OSError as error:
        raise NotKnown("unreachable") from error
    try:
        writer.write(b"zINSTREAM\0")
        if await _send(writer, pieces) != size_bytes:
            raise NotKnown("error")
        return (await reader.readuntil(b"\0"))[:-1]
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise NotKnown("error") from error
    finally:
        # Whatever clamd still has to say, or has not taken yet: we do not wait for it.
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, pieces: AsyncIterable[bytes]) -> int:
    """How many bytes were sent; nothing of a piece that is empty, as its length would end the file."""
    sent = 0
    async for piece in pieces:
        if piece:
            writer.writelines((len(piece).to_bytes(4), piece))
            await writer.drain()
            sent += len(piece)
    writer.write(bytes(4))
    await writer.drain()
    return sent
