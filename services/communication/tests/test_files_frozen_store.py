"""A store that takes connections and never answers, or takes none: it costs those who need it, and nobody else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from services.communication.app import create_app
from services.communication.files import actions, queries
from services.communication.files.schemas import FileRequest, NewFile
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from services.communication.tests.files import MEGABYTE, PDF, FileSchool
from shared.database import Database
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.processes import free_port

SMALL, LARGE = 400, 9 * MEGABYTE
CALLS: Final = 40
"""More than there are connections, and more than there are threads."""


class FrozenStore:
    """Counts who is waiting."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.StreamWriter] = []
        self.somebody_waits = asyncio.Event()

    async def _take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.waiting.append(writer)
        self.somebody_waits.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in self.waiting:
                writer.transport.abort()


class Uploads:
    """Many large files of one school, announced at the same time, each with a key; nobody gets an answer."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens) -> None:
        self.client, self.school, self.other = client, FileSchool(client, tokens), FileSchool(client, tokens)

    @asynccontextmanager
    async def under_way(self, store: FrozenStore) -> AsyncGenerator[None]:
        tasks = [asyncio.create_task(self.begin(new_id())) for _ in range(CALLS)]
        try:
            async with asyncio.timeout(20):
                await store.somebody_waits.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, user_id: UUID, *, key: str | None = None, size_bytes: int = LARGE) -> httpx.Response:
        headers = {
            **self.school.tokens.headers(Role.TEACHER, school_id=self.school.school_id, user_id=user_id),
            "Idempotency-Key": key or str(new_id()),
        }
        body = {"name": "plan.pdf", "size_bytes": size_bytes, "media_type": PDF}
        return await self.client.post("/api/v1/files", json=body, headers=headers)


@asynccontextmanager
async def uploads_to(url: str, stack: Stack, tokens: Tokens) -> AsyncGenerator[Uploads]:
    settings = stack.settings(Settings, "communication", s3_endpoint_url=url)
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield Uploads(client, tokens)


async def test_a_frozen_store_holds_up_no_other_school_nor_small_files(stack: Stack, tokens: Tokens) -> None:
    store = FrozenStore()
    async with store.running() as url, uploads_to(url, stack, tokens) as uploads, uploads.under_way(store):
        async with asyncio.timeout(10):
            listed = [await uploads.other.ask("GET", "") for _ in range(5)]
            small = [await school.create(SMALL) for school in (uploads.school, uploads.other)]
            keyed = await uploads.begin(new_id(), size_bytes=SMALL)
            await asyncio.to_thread(str)

    assert {answer.status_code for answer in listed} == {200}
    assert {answer.status_code for answer in (*small, keyed)} == {201}


async def begun_within(
    database: Database, store: FileStore, settings: Settings, caller: Caller, request: FileRequest
) -> NewFile:
    """Careless: it asks the store while it holds a transaction."""
    row = actions._new_file(settings, caller, request)
    async with database.transaction(school_id=caller.school) as tx:
        await queries.add_file(tx, school_id=caller.school, row=row)
        await store.begin_upload("key", media_type=row.media_type)
    raise AssertionError


async def test_control_one_that_asks_within_a_transaction_is_seen(
    stack: Stack, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "create_file", begun_within)
    store = FrozenStore()
    async with store.running() as url, uploads_to(url, stack, tokens) as uploads, uploads.under_way(store):
        while len(store.waiting) < stack.settings(Settings, "communication").database_pool_max:
            await asyncio.sleep(0)
        listed = await uploads.other.ask("GET", "")

    assert listed.status_code == 503


@pytest.mark.parametrize("has_key", [True, False])
async def test_what_the_store_did_not_begin_leaves_nothing_behind(stack: Stack, tokens: Tokens, has_key: bool) -> None:
    """However often it is tried again, it takes no room and none of the uploads that a person may have begun."""
    async with uploads_to(f"http://127.0.0.1:{free_port()}", stack, tokens) as uploads:
        school = uploads.school
        answers: list[Any] = [
            await uploads.begin(school.teacher_id, key="again") if has_key else await school.create(LARGE)
            for _ in range(2)
        ]
        left = (await school.ask("GET", "")).json()["items"]

    assert {answer.status_code for answer in answers} == {503}
    assert left == []
