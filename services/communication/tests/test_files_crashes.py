"""Whatever dies between two steps, and whatever is put into quarantine meanwhile: only what was judged is downloaded.

Each promise is kept by the real `complete_file`, and seen to be broken by a careless one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from services.communication.files import actions, queries, rules
from services.communication.files.scanner import Scanner
from services.communication.files.schemas import FileRow, Removal
from services.communication.files.store import FileStore
from services.communication.files.sweeper import Sweeper
from services.communication.settings import Settings
from services.communication.tests.clamd import EICAR, Clamd
from services.communication.tests.files import MEGABYTE, FileSchool, get, pdf
from shared import clock
from shared.database import Database, Tx
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.stack import Stack
from tools.embedded.object_store import EmbeddedObjectStore

Complete = Callable[[Database, Any, Settings, Caller, UUID], Awaitable[FileRow]]
Meanwhile = Callable[[], Awaitable[None]]

GOOD: Final = pdf(500)
BAD: Final = b"<script>" + b"x" * 492
INFECTED: Final = GOOD[:100] + EICAR + GOOD[100 + len(EICAR) :]


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore, clamd: Clamd) -> Settings:
    return stack.settings(
        Settings,
        "communication",
        s3_endpoint_url=object_store.url,
        scanner_url=clamd.url,
        file_max_unused_bytes=1024 * MEGABYTE,  # one file for each step
    )


class Killed(BaseException):
    """As abrupt as can be had within one process."""


class Steps:
    """Counts what has an effect outside, before and after each; at one of them something happens."""

    def __init__(self, at: int, happens: Meanwhile) -> None:
        self.count, self._at, self._happens = 0, at, happens

    async def step_within(self) -> None:
        """Inside a transaction: dying there is a step of its own; others would wait for its locks."""
        if self._happens is _die:
            await self.step()

    async def step(self) -> None:
        self.count += 1
        if self.count == self._at:
            await self._happens()

    @property
    def was_reached(self) -> bool:
        return self.count >= self._at


class SteppedStore:
    """The real store, with a step before and after each call."""

    def __init__(self, store: FileStore, steps: Steps) -> None:
        self._store, self._steps = store, steps

    def __getattr__(self, name: str) -> Any:
        async def stepped(*args: Any, **how: Any) -> Any:
            await self._steps.step()
            result = await getattr(self._store, name)(*args, **how)
            await self._steps.step()
            return result

        return stepped

    async def pieces(self, key: str, *, size_bytes: int) -> AsyncGenerator[bytes]:
        await self._steps.step()
        async for piece in self._store.pieces(key, size_bytes=size_bytes):
            yield piece
            await self._steps.step()


class SteppedDatabase(Database):
    steps: Steps

    @asynccontextmanager
    async def transaction(self, **who: Any) -> AsyncGenerator[Tx]:
        await self.steps.step()
        async with super().transaction(**who) as tx:
            yield tx
            await self.steps.step_within()
        await self.steps.step()


class Scene:
    """One file in quarantine, and a service that can be killed."""

    def __init__(self, files: FileSchool, settings: Settings, stack: Stack) -> None:
        self.files, self.settings, self.stack = files, settings, stack
        self.store = FileStore(settings)
        self.caller = Caller(
            user_id=files.teacher_id,
            session_id=new_id(),
            role=Role.TEACHER,
            expires_at=0,
            issued_at=0,
            school_id=files.school_id,
        )

    async def complete(self, complete: Complete, file_id: str, steps: Steps) -> None:
        async with SteppedDatabase(self.settings) as database:
            store = SteppedStore(self.store, steps)
            database.steps = steps
            await complete(database, store, self.settings, self.caller, UUID(file_id))

    async def downloaded(self, file_id: str) -> bytes | None:
        answer = await self.files.ask("GET", f"/{file_id}/download")
        return (await get(answer.json()["url"])).content if answer.is_success else None

    async def put(self, file_id: str, content: bytes) -> None:
        """As the uploader can, as long as a URL is good."""
        key = rules.quarantine_key(self.files.school_id, UUID(file_id))
        await self.store.put(key, content, media_type="application/pdf")

    async def killed_everywhere(self, complete: Complete, content: bytes) -> list[str]:
        """Kills a completion at every step in turn, then completes again; everything that was wrong."""
        found: list[str] = []
        at = 1
        while True:
            file_id = await self.files.uploaded(content)
            steps = Steps(at, _die)
            with suppress(Killed):
                await self.complete(complete, file_id, steps)
            place = f"killed at step {at}"
            found += [f"{place}: {fault}" for fault in await self._faults(file_id, content)]
            await self.files.complete(file_id)
            found += [
                f"{place}, completed again: {fault}" for fault in await self._faults(file_id, content, is_over=True)
            ]
            if not steps.was_reached:
                assert at > 10, "hardly anything was killed"
                return found
            at += 1

    async def _faults(self, file_id: str, content: bytes, *, is_over: bool = False) -> list[str]:
        state, downloaded = await self.files.state(file_id), await self.downloaded(file_id)
        is_good = content not in {BAD, INFECTED}
        found: list[str] = []
        if downloaded is not None and (not is_good or state != "ready" or downloaded != content):
            found.append(f"{state}, and {len(downloaded)} bytes can be downloaded")
        if is_over and state != ("ready" if is_good else "rejected"):
            found.append(f"it is {state}")
        events = published(self.stack.database_url("communication"), self.files.school_id)
        told = [each for each in events if each.subject == file_id]
        if len(told) != (state != "pending"):
            found.append(f"it was told {len(told)} times")
        return found


async def _die() -> None:
    raise Killed


async def complete_file(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> FileRow:
    """The real one."""
    return await actions.complete_file(database, store, settings, caller, file_id, scanner=Scanner(settings))


@pytest.fixture
def scene(files: FileSchool, settings: Settings, stack: Stack) -> Scene:
    return Scene(files, settings, stack)


@pytest.mark.parametrize(
    "content", [GOOD, BAD, INFECTED, pdf(8 * MEGABYTE + 1)], ids=["good", "bad", "infected", "good in parts"]
)
async def test_a_completion_may_die_at_any_step(scene: Scene, content: bytes) -> None:
    assert await scene.killed_everywhere(complete_file, content) == []


async def test_what_dead_completions_left_behind_is_cleared_away(scene: Scene, stack: Stack, store: FileStore) -> None:
    await scene.killed_everywhere(complete_file, GOOD)
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE communication.object_removal SET due_at = now() WHERE due_at > now()")
        rows = connection.execute(
            "SELECT object_key FROM communication.file WHERE school_id = %s ORDER BY 1", (scene.files.school_id,)
        ).fetchall()

    async with Database(scene.settings) as database:
        sweeper = Sweeper(database, store, scene.settings)
        while await sweeper.remove_objects():
            pass

    left = await store.listed(f"school/{scene.files.school_id}/", after="", limit=500)
    assert [each.key for each in left] == [key for (key,) in rows]


async def ready_before_judged(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> FileRow:
    """Careless: what turns out wrong is taken back."""
    row, final = await _copied(database, store, caller, file_id)
    settled = await actions._settle(database, settings, caller.school, file_id, fault=None, object_key=final)
    fault = await actions._fault_of(store, row, final)
    if fault is not None:
        async with database.transaction(school_id=caller.school) as tx:
            rejected = rules.moved(settled, state="rejected", object_key=None, rejected_because=fault)
            await queries.settle_file(tx, school_id=caller.school, row=rejected, now=clock.now())
    return settled


async def quarantine_judged(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> FileRow:
    """Careless: it judges what lies in quarantine, and copies what lies there then."""
    row = await queries.file(database.reader(school_id=caller.school), school_id=caller.school, file_id=file_id)
    assert row is not None
    fault = await actions._fault_of(store, row, rules.quarantine_key(caller.school, file_id))
    _, final = await _copied(database, store, caller, file_id)
    return await actions._settle(database, settings, caller.school, file_id, fault=fault, object_key=final)


async def _copied(database: Database, store: FileStore, caller: Caller, file_id: UUID) -> tuple[FileRow, str]:
    row = await queries.file(database.reader(school_id=caller.school), school_id=caller.school, file_id=file_id)
    assert row is not None
    final = rules.final_key(caller.school, file_id, new_id())
    async with database.transaction(school_id=caller.school) as tx:
        await queries.add_removals(
            tx, [Removal(object_key=final, upload_id=None)], due_at=clock.now() + actions.ATTEMPT
        )
    await store.copy(rules.quarantine_key(caller.school, file_id), final, media_type=row.media_type)
    return row, final


async def test_control_one_that_is_ready_before_it_is_judged_is_seen(scene: Scene) -> None:
    assert any("can be downloaded" in each for each in await scene.killed_everywhere(ready_before_judged, BAD))


async def swapped_everywhere(scene: Scene, complete: Complete, *, rival: Complete | None = None) -> list[str]:
    """Puts something else into quarantine at every step in turn, and lets a rival copy it there and die."""
    found: list[str] = []
    at, steps = 1, None
    while steps is None or steps.was_reached:
        file_id = await scene.files.uploaded(GOOD)

        async def swap(file_id: str = file_id) -> None:
            await scene.put(file_id, BAD)
            if rival is not None:
                with pytest.raises(Killed):
                    await scene.complete(rival, file_id, Steps(1000, _die))

        steps = Steps(at, swap)
        await scene.complete(complete, file_id, steps)
        if (downloaded := await scene.downloaded(file_id)) not in {None, GOOD}:
            found.append(f"swapped at step {at}: {downloaded!r}")
        at += 1
    assert at > 10
    return found


async def copies_and_dies(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> FileRow:
    """The real one, killed after its copy."""
    row = await queries.file(database.reader(school_id=caller.school), school_id=caller.school, file_id=file_id)
    assert row is not None
    if row.state == "pending":
        await _copied(database, store, caller, file_id)
    raise Killed


async def test_what_is_put_into_quarantine_meanwhile_is_never_downloaded(scene: Scene) -> None:
    assert await swapped_everywhere(scene, complete_file) == []


async def test_two_completions_at_a_time_do_not_get_into_each_others_copy(scene: Scene) -> None:
    assert await swapped_everywhere(scene, complete_file, rival=copies_and_dies) == []


async def test_control_one_that_judges_what_lies_in_quarantine_is_seen(scene: Scene) -> None:
    assert await swapped_everywhere(scene, quarantine_judged) != []


async def test_control_copies_that_meet_are_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "final_key", lambda school_id, file_id, _: f"school/{school_id}/files/{file_id}/only")

    assert await swapped_everywhere(scene, complete_file, rival=copies_and_dies) != []


async def test_two_completions_at_a_time_make_one_file(scene: Scene) -> None:
    file_id = await scene.files.uploaded(GOOD)

    answers = await asyncio.gather(*(scene.files.ask("POST", f"/{file_id}/complete") for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["state"] for answer in answers} == {"ready"}
    assert len(published(scene.stack.database_url("communication"), scene.files.school_id)) == 1
    assert await scene.downloaded(file_id) == GOOD
