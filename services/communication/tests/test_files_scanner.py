"""clamd's protocol, as it is spoken, and every way of not getting an answer."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.communication.files import scanner
from services.communication.files.scanner import NotKnown, Scanner, ask, outcome_of
from services.communication.settings import Settings
from services.communication.tests.clamd import OK, Behaviour, Impostor, answering, hanging_up, instream, silent
from shared.ids import new_id
from shared.problems import Unavailable
from shared.settings import SettingsError, load
from tools.dumps import EXAMPLE_ENV
from tools.embedded.processes import free_port


def settings_with(**variables: str) -> Settings:
    return load(Settings, {**EXAMPLE_ENV, **variables})


async def pieces_of(*pieces: bytes) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece


async def asked(behaviour: Behaviour, *pieces: bytes, size_bytes: int | None = None, timeout_s: str = "5") -> object:
    """What comes of a scan by this clamd: a fault, None for clean, or the outcome that is not known."""
    async with Impostor(behaviour).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url, SCANNER_TIMEOUT_S=timeout_s))
        size = sum(map(len, pieces)) if size_bytes is None else size_bytes
        try:
            return await asking.fault_of(new_id(), pieces_of(*pieces), size_bytes=size)
        except Unavailable as error:
            return f"not known: {error.__cause__}"


async def test_a_file_goes_in_pieces_with_their_lengths_and_an_end() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(10 + 4 + 3 + 4 + 300 + 4))
        writer.write(OK)
        await writer.drain()

    assert await asked(listen, b"abc", b"x" * 300) is None
    assert heard == [b"zINSTREAM\0" + b"\0\0\0\x03abc" + b"\0\0\x01\x2c" + b"x" * 300 + b"\0\0\0\0"]


async def test_an_empty_piece_does_not_end_the_file() -> None:
    heard: list[list[bytes]] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await instream(reader))
        writer.write(OK)
        await writer.drain()

    assert await asked(listen, b"abc", b"", b"def") is None
    assert heard == [[b"abc", b"def"]]


@pytest.mark.parametrize("size_bytes", [2, 4, 400])
async def test_a_part_of_a_file_that_is_clean_does_not_make_it_clean(size_bytes: int) -> None:
    assert await asked(answering(OK), b"abc", size_bytes=size_bytes) == "not known: error"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"stream: OK", "clean"),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND", "infected"),
        (b"stream: OK FOUND", "infected"),
        (b"stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND", "too_large"),
        (b"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND", "too_large"),
    ],
)
def test_an_answer_says_what_a_file_is(answer: bytes, outcome: str) -> None:
    assert outcome_of(answer) == outcome


STRANGE = [
    b"",
    b"OK",
    b"stream: ok",
    b"stream: OK ",
    b" stream: OK",
    b"stream: OK\n",
    b"stream: OK ERROR",
    b"stream: FOUND",
    b"stream: Can't allocate memory ERROR",
    b"stream: X FOUND\nstream: OK",
    b"1: stream: OK",
    b"INSTREAM size limit exceeded. ERROR",
    b"UNKNOWN COMMAND",
    b"\xff\xfe",
]
"""No answers to INSTREAM, or none that clears a file."""


@pytest.mark.parametrize("answer", STRANGE)
def test_no_other_answer_says_anything(answer: bytes) -> None:
    with pytest.raises(NotKnown):
        outcome_of(answer)


def test_a_scan_that_clamd_gave_up_says_nothing() -> None:
    with pytest.raises(NotKnown) as told:
        outcome_of(b"stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND")

    assert told.value.outcome == "timeout"


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(answering(b"stream: OK"), "error", id="an answer without an end"),
        pytest.param(answering(b""), "error", id="no answer"),
        pytest.param(answering(b"x" * 100_000), "error", id="an answer without a limit"),
        pytest.param(answering(b"y" * 5_000 + OK), "error", id="an answer behind garbage"),
        pytest.param(hanging_up, "error", id="a connection that is cut"),
        pytest.param(silent, "timeout", id="silence"),
    ],
)
async def test_who_does_not_answer_has_not_said_that_a_file_is_clean(behaviour: Behaviour, outcome: str) -> None:
    patience_s = "0.5" if behaviour is silent else "30"
    assert await asked(behaviour, b"abc", timeout_s=patience_s) == f"not known: {outcome}"


async def test_who_takes_nothing_is_given_up() -> None:
    async def deaf(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    assert await asked(deaf, *[bytes(2 * 1024 * 1024)] * 10, timeout_s="0.5") == "not known: timeout"


async def test_nobody_is_there() -> None:
    with pytest.raises(NotKnown) as told:
        await ask(("127.0.0.1", free_port()), pieces_of(b"abc"), size_bytes=3)

    assert told.value.outcome == "unreachable"


async def test_what_the_store_does_not_give_is_not_clean() -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"abc"
        raise Unavailable("The file store does not answer.")

    async with Impostor(answering(OK)).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url))
        with pytest.raises(Unavailable, match="store"):
            await asking.fault_of(new_id(), broken(), size_bytes=3)


@pytest.mark.parametrize("size_bytes", [10, scanner.LARGE_BYTES + 1], ids=["small", "large"])
async def test_so_many_at_a_time_and_no_more(size_bytes: int) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await instream(reader)
        await asyncio.sleep(0.1)
        writer.write(OK)
        await writer.drain()

    async with Impostor(slow).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url, SCANNER_MAX_SCANS="3"))
        scans = (asking.fault_of(new_id(), pieces_of(bytes(size_bytes)), size_bytes=size_bytes) for _ in range(9))
        found = await asyncio.gather(*scans)

    assert found == [None] * 9
    assert clamd.most_at_a_time == 3


async def test_who_waits_too_long_for_a_turn_is_told_so_and_large_files_hold_up_no_small_ones() -> None:
    large = scanner.LARGE_BYTES + 1

    async def slow_at_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sum(map(len, await instream(reader))) == large:
            await asyncio.sleep(60)
        writer.write(OK)
        await writer.drain()

    async with Impostor(slow_at_large).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url, SCANNER_MAX_SCANS="1", SCANNER_TIMEOUT_S="30"))
        first = asyncio.create_task(asking.fault_of(new_id(), pieces_of(bytes(large)), size_bytes=large))
        while not clamd.callers:
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable) as told:
            await asking.fault_of(new_id(), pieces_of(bytes(large)), size_bytes=large)
        small = await asking.fault_of(new_id(), pieces_of(b"abc"), size_bytes=3)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    assert told.value.headers == {"Retry-After": "2"}
    assert small is None


async def test_a_school_that_keeps_clamd_busy_holds_up_no_other() -> None:
    async def slow_at_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(b"".join(await instream(reader))) > 3:
            await asyncio.sleep(60)
        writer.write(OK)
        await writer.drain()

    busy, other = new_id(), new_id()
    async with Impostor(slow_at_long).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url, SCANNER_MAX_SCANS="4", SCANNER_TIMEOUT_S="30"))
        scans = [asyncio.create_task(asking.fault_of(busy, pieces_of(b"long"), size_bytes=4)) for _ in range(8)]
        while clamd.callers < 2:
            await asyncio.sleep(0.01)
        found = await asyncio.gather(*(asking.fault_of(other, pieces_of(b"abc"), size_bytes=3) for _ in range(8)))
        async with asyncio.timeout(scanner.WAIT_S + 20):
            while sum(each.done() for each in scans) < 6:
                await asyncio.sleep(0.01)
        refused, held = [each for each in scans if each.done()], [each for each in scans if not each.done()]
        for each in held:
            each.cancel()
        outcomes = {str(error.__cause__) for each in refused if (error := each.exception()) is not None}
        await asyncio.gather(*held, return_exceptions=True)

    assert found == [None] * 8
    assert (len(refused), len(held), outcomes) == (6, 2, {"busy"})


async def test_a_turn_is_given_back_whatever_becomes_of_it() -> None:
    async with Impostor(hanging_up).running() as clamd:
        asking = Scanner(settings_with(SCANNER_URL=clamd.url, SCANNER_MAX_SCANS="1"))
        outcomes: list[str] = []
        for _ in range(3):
            with pytest.raises(Unavailable) as told:
                await asking.fault_of(new_id(), pieces_of(b"abc"), size_bytes=3)
            outcomes.append(str(told.value.__cause__))

    assert outcomes == ["error"] * 3


@pytest.mark.parametrize(
    "variables",
    [
        {"SCANNER_URL": "clamd:3310"},
        {"SCANNER_URL": "tcp://clamd"},
        {"SCANNER_URL": "tcp://clamd:0"},
        {"SCANNER_URL": "tcp://clamd:99999"},
        {"SCANNER_URL": "tcp://:3310"},
        {"SCANNER_URL": "tcp://clamd:3310/x"},
        {"SCANNER_URL": "tcp://a:b@clamd:3310"},
        {"SCANNER_URL": "http://clamd:3310"},
        {"SCANNER_TIMEOUT_S": "0"},
        {"SCANNER_MAX_SCANS": "0"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_meant_ends_the_start(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="SCANNER_"):
        settings_with(**variables)


def test_where_clamd_is() -> None:
    assert settings_with(SCANNER_URL="tcp://clamd:3310").scanner_address == ("clamd", 3310)
    assert settings_with().scanner_address is None
