"""No file is downloaded that clamd has not called clean, whatever becomes of clamd; and nobody else waits for it."""

import asyncio
import struct
import time
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest

from services.communication.app import create_app
from services.communication.files import actions
from services.communication.files.scanner import NotKnown, Scanner
from services.communication.files.schemas import Fault, FileRow
from services.communication.files.store import PIECE_BYTES, FileStore
from services.communication.files.sweeper import Sweeper
from services.communication.settings import Settings
from services.communication.tests.clamd import (
    EICAR,
    OK,
    Behaviour,
    Clamd,
    Impostor,
    answering,
    hanging_up,
    instream,
    silent,
)
from services.communication.tests.files import DOCX, MEGABYTE, PDF, PNG, FileSchool, archive, docx, pdf, png
from services.communication.tests.test_files_scanner import STRANGE
from shared.contracts.communication import FileRejected
from shared.database import Database
from shared.testing.bus import published
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.object_store import EmbeddedObjectStore
from tools.embedded.processes import free_port

TEXT: Final = "text/plain"
Open = Callable[..., Any]


@pytest.fixture
def opened(stack: Stack, tokens: Tokens, object_store: EmbeddedObjectStore) -> Open:
    """A school at a service that asks this scanner."""

    @asynccontextmanager
    async def at(url: str, **settings: Any) -> AsyncGenerator[FileSchool]:
        made = stack.settings(Settings, "communication", s3_endpoint_url=object_store.url, scanner_url=url, **settings)
        async with client_of(create_app(made, tokens.verifier)) as client:
            yield FileSchool(client, tokens)

    return at


def packed_pdf(content: bytes) -> bytes:
    """One whose content cannot be read without unpacking it, as in most."""
    packed = zlib.compress(content)
    stream = b"1 0 obj\n<</Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream\nendobj\n" % (len(packed), packed)
    assert content not in stream
    return b"%PDF-1.7\n" + stream + b"trailer\n<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


def nested(content: bytes, depth: int) -> bytes:
    for _ in range(depth):
        content = archive({"inner.zip": content})
    return content


def lying(content: bytes) -> bytes:
    """An office document whose directory says that it holds ten bytes of this."""
    made, size = docx(**{"word/a.bin": content}), struct.pack("<I", len(content))
    assert made.count(size) == 2
    return made.replace(size, struct.pack("<I", 10))


CLEAN: Final = [
    pytest.param(PDF, pdf(), id="a document"),
    pytest.param(PDF, packed_pdf(b"Bring a coat."), id="a packed document"),
    pytest.param(PDF, pdf(9 * MEGABYTE), id="a document in parts"),
    pytest.param(TEXT, b"Bring a coat.", id="a text"),
    pytest.param(DOCX, docx(), id="an office document"),
    pytest.param(PNG, png(), id="a picture"),
]
INFECTED: Final = [
    pytest.param(TEXT, EICAR, "infected", id="the virus itself"),
    pytest.param(TEXT, b"Dear all,\n" + EICAR + b"\nregards", "infected", id="a text"),
    pytest.param(PDF, pdf(3000)[:1000] + EICAR + pdf(3000)[1000:], "infected", id="a document"),
    pytest.param(PDF, packed_pdf(b"Hello " + EICAR), "infected", id="a packed document"),
    pytest.param(PDF, pdf(9 * MEGABYTE)[:-50] + EICAR + pdf()[-50:], "infected", id="the end of a large document"),
    pytest.param(DOCX, docx(**{"word/document.xml": EICAR * 9}), "infected", id="an office document"),
    pytest.param(DOCX, docx(**{"word/a.zip": nested(EICAR, 3)}), "infected", id="an archive in an archive"),
    pytest.param(DOCX, lying(bytes(20 * MEGABYTE) + EICAR), "infected", id="more than its directory tells"),
    pytest.param(PNG, png(extra=b"c\0" + EICAR), "infected", id="a picture"),
    pytest.param(DOCX, docx(**{"word/a.zip": nested(EICAR, 40)}), "unpacks_too_large", id="archives without an end"),
]


@pytest.mark.parametrize(("media_type", "content"), CLEAN)
async def test_what_is_clean_is_ready(opened: Open, clamd: Clamd, media_type: str, content: bytes) -> None:
    async with opened(clamd.url) as files:
        file_id = await files.uploaded(content, media_type=media_type)
        completed = await files.complete(file_id)
        downloaded = await files.download(file_id)

    assert completed["state"] == "ready"
    assert downloaded.content == content


async def test_the_largest_file_is_scanned_whole_and_in_pieces(opened: Open, clamd: Clamd) -> None:
    """By a clamd that takes no more than it does in a deployment."""
    lengths: list[int] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lengths.extend(map(len, await instream(reader)))
        writer.write(OK)
        await writer.drain()

    content = pdf(50 * MEGABYTE)
    async with Impostor(listen).running() as impostor, opened(impostor.url) as files:
        in_pieces = await files.complete(await files.uploaded(content))
    async with opened(clamd.url, scanner_timeout_s=60) as files:
        infected = content[: -50 - len(EICAR)] + EICAR + content[-50:]
        found = await files.complete(await files.uploaded(infected))

    assert in_pieces["state"] == "ready"
    assert (sum(lengths), max(lengths)) == (len(content), PIECE_BYTES)
    assert (found["state"], found["rejected_because"]) == ("rejected", "infected")


@pytest.mark.parametrize(("media_type", "content", "fault"), INFECTED)
async def test_what_is_infected_is_never_downloadable(
    opened: Open, clamd: Clamd, stack: Stack, store: FileStore, media_type: str, content: bytes, fault: str
) -> None:
    async with opened(clamd.url) as files:
        file_id = await files.uploaded(content, media_type=media_type)
        completed = await files.complete(file_id)
        again = await files.complete(file_id)
        download = await files.ask("GET", f"/{file_id}/download")
        usage = await files.ask("GET", "/usage", role="school_admin")
        await _swept(stack, store)

    (event,) = published(stack.database_url("communication"), files.school_id)
    told = msgspec.json.decode(event.data, type=FileRejected)
    assert (completed["state"], completed["rejected_because"]) == ("rejected", fault)
    assert again == completed
    assert (download.status_code, download.json()["type"]) == (409, "/problems/file-not-ready")
    assert (told.file_id, told.reason) == (UUID(file_id), fault)
    assert usage.json()["used_bytes"] == 0
    assert await store.listed(f"school/{files.school_id}/files/", after="", limit=10) == []


async def _swept(stack: Stack, store: FileStore) -> None:
    settings = stack.settings(Settings, "communication")
    async with Database(settings) as database:
        while await Sweeper(database, store, settings).remove_objects():
            pass


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(Settings, "communication", s3_endpoint_url=object_store.url)


async def refused(files: FileSchool, content: bytes, **how: Any) -> tuple[str, list[str]]:
    """Completes a file that cannot be scanned; everything that is wrong with the answer, and with the file after it."""
    file_id = await files.uploaded(content, **how)
    began = time.monotonic()
    answer = await files.ask("POST", f"/{file_id}/complete")
    took_s = time.monotonic() - began
    download, state = await files.ask("GET", f"/{file_id}/download"), await files.state(file_id)
    found = {
        f"it answers {answer.status_code}": answer.status_code != 503,
        "it does not say when to come again": "retry-after" not in answer.headers,
        f"it took {took_s:.1f} s": took_s > 5,
        f"it is {state}": state != "pending",
        f"it can be downloaded: {download.status_code}": download.status_code != 409,
    }
    return file_id, [fault for fault, is_so in found.items() if is_so]


async def test_a_file_waits_in_quarantine_until_there_is_a_scanner(
    opened: Open, tmp_path: Path, stack: Stack, store: FileStore
) -> None:
    clamd = Clamd(tmp_path)
    async with opened(clamd.url) as files:
        good, faults = await refused(files, pdf())
        bad, more = await refused(files, EICAR, media_type=TEXT)
        told = published(stack.database_url("communication"), files.school_id)
        await _swept(stack, store)
        left = await store.listed(f"school/{files.school_id}/files/", after="", limit=10)

        clamd.start()
        try:
            completed = [await files.complete(good), await files.complete(bad)]
        finally:
            clamd.stop()
        downloaded = await files.download(good)

    assert (faults, more, told, left) == ([], [], [], [])
    assert [each["state"] for each in completed] == ["ready", "rejected"]
    assert downloaded.content == pdf()


async def unsure(opened: Open, tmp_path: Path) -> list[str]:
    """Everything that is wrong with what becomes of files when it cannot be known whether they are clean."""
    behaviours: dict[str, Behaviour] = {
        **{f"{answer!r}": answering(answer + b"\0") for answer in STRANGE},
        "a cut answer": answering(OK[:-1]),
        "a cut connection": hanging_up,
        "silence": silent,
        "too long an answer": answering(b"y" * 5000 + OK),
    }
    found: list[str] = []
    for name, behaviour in behaviours.items():
        async with Impostor(behaviour).running() as clamd, opened(clamd.url, scanner_timeout_s=0.5) as files:
            _, faults = await refused(files, EICAR, media_type=TEXT)
            found += [f"{name}: {fault}" for fault in faults]
    async with opened(f"tcp://127.0.0.1:{free_port()}") as files:
        found += [f"nobody there: {fault}" for fault in (await refused(files, EICAR, media_type=TEXT))[1]]
    clamd = Clamd(tmp_path, StreamMaxLength="1M")
    clamd.start()
    try:
        async with opened(clamd.url) as files:
            found += [f"longer than clamd takes: {fault}" for fault in (await refused(files, pdf(4 * MEGABYTE)))[1]]
    finally:
        clamd.stop()
    return found


async def test_what_is_not_known_to_be_clean_is_not_clean(opened: Open, tmp_path: Path) -> None:
    assert await unsure(opened, tmp_path) == []


class Careless(Scanner):
    """Takes for clean what nobody has called infected."""

    async def _outcome(self, *args: Any) -> Any:
        try:
            return await super()._outcome(*args)
        except NotKnown:
            return "clean"


async def test_control_one_that_takes_the_unknown_for_clean_is_seen(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.communication.app.Scanner", Careless)

    found = await unsure(opened, tmp_path)

    assert len([each for each in found if "can be downloaded" in each]) == len(STRANGE) + 6


async def test_a_clamd_that_is_killed_in_the_middle_has_said_nothing(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clamd = Clamd(tmp_path)
    clamd.start()
    pieces = FileStore.pieces

    async def killing(self: FileStore, key: str, *, size_bytes: int) -> AsyncGenerator[bytes]:
        async for piece in pieces(self, key, size_bytes=size_bytes):
            yield piece
            clamd.process.kill()

    monkeypatch.setattr(FileStore, "pieces", killing)
    async with opened(clamd.url) as files:
        file_id, faults = await refused(files, pdf(7 * MEGABYTE))
        monkeypatch.setattr(FileStore, "pieces", pieces)
        clamd.start()
        try:
            completed = await files.complete(file_id)
        finally:
            clamd.stop()

    assert faults == []
    assert completed["state"] == "ready"


class Waiting:
    """Many completions of one school that clamd does not answer."""

    COUNT: Final = 8
    """More than there are connections."""

    def __init__(self, files: FileSchool) -> None:
        self.files, self.other = files, FileSchool(files.client, files.tokens)
        self.file_ids: list[str] = []
        self.answers: asyncio.Future[list[httpx.Response]] = asyncio.Future()

    async def begin(self) -> None:
        self.file_ids = [await self.files.uploaded(pdf()) for _ in range(self.COUNT)]
        asked = (self.files.ask("POST", f"/{file_id}/complete") for file_id in self.file_ids)
        self.answers = asyncio.gather(*asked)

    async def others(self) -> list[httpx.Response]:
        """What others ask meanwhile."""
        asked = [await school.ask("GET", "") for school in (self.files, self.other) for _ in range(3)]
        return [*asked, *[await school.create() for school in (self.files, self.other)]]


async def test_a_frozen_clamd_holds_up_nobody_else(opened: Open, tmp_path: Path) -> None:
    clamd = Clamd(tmp_path)
    clamd.start()
    try:
        async with opened(clamd.url, scanner_timeout_s=8, scanner_max_scans=2 * Waiting.COUNT) as files:
            clamd.freeze()
            waiting = Waiting(files)
            await waiting.begin()
            began = time.monotonic()
            others = await waiting.others()
            others_took_s = time.monotonic() - began
            answers = await waiting.answers
            took_s = time.monotonic() - began
            states = {await files.state(file_id) for file_id in waiting.file_ids}
            clamd.thaw()
            completed = [await files.complete(file_id) for file_id in waiting.file_ids]
    finally:
        clamd.thaw()
        clamd.stop()

    assert {answer.status_code for answer in others} == {200, 201}
    assert others_took_s < 8
    assert {answer.status_code for answer in answers} == {503}
    assert took_s < 24
    assert states == {"pending"}
    assert {each["state"] for each in completed} == {"ready"}


async def scanned_within(
    database: Database, store: FileStore, scanner: Scanner, school_id: UUID, row: FileRow, key: str
) -> Fault | None:
    """Careless: it waits for clamd while it holds a connection."""
    pieces = store.pieces(key, size_bytes=row.size_bytes)
    async with database.transaction(school_id=school_id):
        return await scanner.fault_of(school_id, pieces, size_bytes=row.size_bytes)


@asynccontextmanager
async def silenced(opened: Open, *, callers: int) -> AsyncGenerator[Waiting]:
    """As many completions as can wait for a scanner that takes everything and says nothing."""
    limits = {"scanner_timeout_s": 15, "scanner_max_scans": 2 * Waiting.COUNT}
    async with Impostor(silent).running() as clamd, opened(clamd.url, **limits) as files:
        waiting = Waiting(files)
        await waiting.begin()
        async with asyncio.timeout(20):
            while clamd.callers < callers:
                await asyncio.sleep(0.01)
        yield waiting
        await waiting.answers


async def test_who_waits_for_the_scanner_holds_no_connection(opened: Open) -> None:
    async with silenced(opened, callers=Waiting.COUNT) as waiting:
        others = await waiting.others()

    assert {answer.status_code for answer in others} == {200, 201}


async def test_control_one_that_scans_within_a_transaction_is_seen(
    opened: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_scanned", scanned_within)
    async with silenced(opened, callers=settings.database_pool_max) as waiting:
        listed = await waiting.other.ask("GET", "")

    assert listed.status_code == 503


async def test_several_at_once_get_each_their_own_verdict(opened: Open, clamd: Clamd) -> None:
    async with opened(clamd.url, scanner_max_scans=32) as files:
        contents = [
            pdf(500 + number) if number % 2 else pdf(500)[:200] + EICAR + pdf(500)[200:] for number in range(16)
        ]
        ids = [await files.uploaded(content) for content in contents]
        completed = await asyncio.gather(*(files.complete(file_id) for file_id in ids))

    assert [each["state"] for each in completed] == ["rejected", "ready"] * 8


async def test_small_files_pass_while_clamd_chews_on_large_ones(opened: Open) -> None:
    async def slow_at_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sum(map(len, await instream(reader))) > MEGABYTE:
            await asyncio.sleep(60)
        writer.write(OK)
        await writer.drain()

    async with (
        Impostor(slow_at_large).running() as clamd,
        opened(clamd.url, scanner_timeout_s=6, scanner_max_scans=1) as files,
    ):
        large = [await files.uploaded(pdf(2 * MEGABYTE)) for _ in range(2)]
        small = await files.uploaded(b"Bring a coat.", media_type=TEXT)
        first = asyncio.create_task(files.ask("POST", f"/{large[0]}/complete"))
        while not clamd.callers:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        second = await files.ask("POST", f"/{large[1]}/complete")
        completed = await files.complete(small)
        took_s = time.monotonic() - began
        gave_up = await first

    assert (second.status_code, second.headers["retry-after"]) == (503, "2")
    assert completed["state"] == "ready"
    assert took_s < 4
    assert gave_up.status_code == 503


async def test_what_the_scanner_says_is_counted_and_names_no_file(
    opened: Open, clamd: Clamd, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(clamd.url) as files:
        await files.complete(await files.uploaded(EICAR, name="Ada Lovelace.txt", media_type=TEXT))
        metrics = (await files.client.get("/metrics")).text

    assert 'homeroom_file_scans_total{outcome="infected"}' in metrics
    assert "homeroom_file_scan_seconds_count" in metrics
    written = capsys.readouterr().out
    assert "Eicar-Test-Signature" in written
    assert "Lovelace" not in written
