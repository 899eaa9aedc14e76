"""What nobody completed, uses or knows goes; everything else stays."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from services.communication.files import actions
from services.communication.files.rules import quarantine_key
from services.communication.files.store import FileStore
from services.communication.files.sweeper import Sweeper
from services.communication.settings import Settings
from services.communication.tests.files import MEGABYTE, PNG, FileSchool, get, pdf, put
from shared import clock
from shared.database import Database
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.problems import Unavailable
from shared.testing.stack import Stack
from tools.embedded.object_store import EmbeddedObjectStore


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(Settings, "communication", s3_endpoint_url=object_store.url)


class Time:
    """Passes when it is told to: all that waits for an instant waits for one that much nearer."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.admin_url

    def passes(self, **span: float) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for table in ("file_due", "object_removal", "bucket_sweep"):
                sql = f"UPDATE communication.{table} SET due_at = due_at - %s"
                connection.execute(sql, (timedelta(**span),))  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
def time(stack: Stack) -> Time:
    return Time(stack)


@pytest.fixture
async def sweeper(settings: Settings, store: FileStore) -> AsyncGenerator[Sweeper]:
    async with Database(settings) as database:
        yield Sweeper(database, store, settings)


async def sweep(sweeper: Sweeper) -> None:
    for task in (sweeper.discard_due, sweeper.remove_objects):
        while await task():
            pass


async def keys(store: FileStore, files: FileSchool) -> list[str]:
    return [each.key for each in await store.listed(f"school/{files.school_id}/", after="", limit=500)]


def used_bytes(stack: Stack, files: FileSchool) -> int:
    with psycopg.connect(stack.admin_url) as connection:
        sql = "SELECT used_bytes FROM communication.file_usage WHERE school_id = %s"
        row = connection.execute(sql, (files.school_id,)).fetchone()
    assert row is not None
    return row[0]


def caller(files: FileSchool) -> Caller:
    return Caller(
        user_id=files.teacher_id,
        session_id=new_id(),
        role=Role.TEACHER,
        expires_at=0,
        issued_at=0,
        school_id=files.school_id,
    )


async def test_what_is_not_completed_in_a_day_is_forgotten(
    files: FileSchool, store: FileStore, sweeper: Sweeper, stack: Stack, time: Time
) -> None:
    whole = await files.uploaded(pdf())
    begun = await files.created(9 * MEGABYTE)
    await put(begun["upload"]["parts"][0]["url"], pdf(begun["upload"]["parts"][0]["size_bytes"]))
    nothing = (await files.created(400))["file"]["id"]
    ids = [whole, begun["file"]["id"], nothing]

    time.passes(hours=23)
    await sweep(sweeper)
    kept = [(await files.ask("GET", f"/{file_id}")).status_code for file_id in ids]
    time.passes(hours=1.1)
    await sweep(sweeper)
    gone = [(await files.ask("GET", f"/{file_id}")).status_code for file_id in ids]
    time.passes(minutes=16)
    await sweep(sweeper)

    assert (kept, gone) == ([200] * 3, [404] * 3)
    assert await keys(store, files) == []
    assert [each for each in await store.open_uploads("school/") if str(files.school_id) in each.key] == []
    assert used_bytes(stack, files) == 0


async def test_a_ready_file_that_nothing_uses_goes_after_a_week(
    files: FileSchool, store: FileStore, sweeper: Sweeper, stack: Stack, time: Time, settings: Settings
) -> None:
    unused, used = await files.ready(), await files.ready()
    rejected = await files.uploaded(b"<html>" + bytes(10))
    await files.complete(rejected)
    use = {"used_by_kind": "announcement", "used_by_id": new_id(), "file_ids": [UUID(used)]}
    async with Database(settings) as database:
        async with database.transaction(school_id=files.school_id) as tx:
            await actions.attach(tx, caller(files), **use)
        ids = [unused, used, rejected]

        time.passes(days=6.9)
        await sweep(sweeper)
        after_six = [(await files.ask("GET", f"/{file_id}")).status_code for file_id in ids]
        time.passes(days=0.2)
        await sweep(sweeper)
        after_seven = [(await files.ask("GET", f"/{file_id}")).status_code for file_id in ids]
        kept = await keys(store, files)
        async with database.transaction(school_id=files.school_id) as tx:
            await actions.detach(tx, settings, files.school_id, **use)
        time.passes(days=7.1)
        await sweep(sweeper)

    assert (after_six, after_seven) == ([200, 200, 200], [404, 200, 404])
    assert len(kept) == 1
    assert used in kept[0]
    assert await keys(store, files) == []
    assert used_bytes(stack, files) == 0


async def test_quarantine_is_emptied_once_nobody_can_write_to_it(
    files: FileSchool, store: FileStore, sweeper: Sweeper, time: Time
) -> None:
    file_id = await files.ready()

    await sweep(sweeper)
    before = await keys(store, files)
    time.passes(minutes=16)
    await sweep(sweeper)

    assert quarantine_key(files.school_id, UUID(file_id)) in before
    assert await keys(store, files) == [key for key in before if "/files/" in key]
    assert (await files.download(file_id)).status_code == 200


async def test_what_was_deleted_is_soon_gone_from_the_store(
    files: FileSchool, store: FileStore, sweeper: Sweeper, time: Time
) -> None:
    file_id = await files.ready()
    url = (await files.ask("GET", f"/{file_id}/download")).json()["url"]
    await files.ask("DELETE", f"/{file_id}")
    time.passes(minutes=16)

    await sweep(sweeper)

    assert await keys(store, files) == []
    assert (await get(url)).status_code == 404


@pytest.mark.parametrize("end", ["deleted", "rejected"])
async def test_what_is_put_to_a_url_that_outlived_its_file_goes_when_the_url_has_expired(
    files: FileSchool, store: FileStore, sweeper: Sweeper, time: Time, end: str
) -> None:
    made = await files.created(400)
    url, headers = made["upload"]["parts"][0]["url"], made["upload"]["headers"]
    if end == "deleted":
        await files.ask("DELETE", f"/{made['file']['id']}")
    else:
        await put(url, b"<script>" + bytes(392), headers)
        assert (await files.complete(made["file"]["id"]))["state"] == "rejected"
    await sweep(sweeper)
    await put(url, pdf(), headers)
    before = await keys(store, files)

    time.passes(minutes=16)
    await sweep(sweeper)

    assert before == [quarantine_key(files.school_id, UUID(made["file"]["id"]))]
    assert await keys(store, files) == []


async def test_objects_that_no_file_knows_go_and_others_stay(
    files: FileSchool, store: FileStore, stack: Stack, object_store: EmbeddedObjectStore, time: Time
) -> None:
    """As after a backup was restored: the bucket is ahead of the rows."""
    ready = await files.ready()
    pending = await files.uploaded(pdf())
    lost = await files.ready()
    known = [key for key in await keys(store, files) if lost not in key]
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        for table in ("file_due", "file"):
            connection.execute(f"DELETE FROM communication.{table} WHERE file_id = %s", (lost,))  # pyright: ignore[reportArgumentType, reportCallIssue]
        connection.execute("DELETE FROM communication.object_removal")
    stray = [f"school/{files.school_id}/files/{new_id()}/{new_id()}", f"school/{files.school_id}/reports/a.pdf"]
    for key in stray:
        await store.put(key, b"x", media_type="text/plain")
    forgotten = await store.begin_upload(quarantine_key(files.school_id, new_id()), media_type=PNG)
    old = stack.settings(
        Settings, "communication", s3_endpoint_url=object_store.url, file_pending_max_age_h=-1, bucket_sweep_h=1
    )

    async with Database(old) as database:
        young = Sweeper(database, store, stack.settings(Settings, "communication"))
        time.passes(days=2)
        while await young.sweep_bucket():
            pass
        too_young = await keys(store, files)
        sweeper = Sweeper(database, store, old)
        time.passes(days=2)
        while await sweeper.sweep_bucket():
            pass
        while await sweeper.remove_objects():
            pass

    # What a ready file left in quarantine belongs to nobody either.
    left = [key for key in known if "/files/" in key or pending in key]
    assert {*stray, *known} < set(too_young)
    assert await keys(store, files) == sorted([*left, stray[1]])
    assert forgotten not in [each.upload_id for each in await store.open_uploads("school/")]
    assert (await files.download(ready)).status_code == 200


async def test_all_open_uploads_are_found_however_many(
    files: FileSchool, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.communication.files.store.UPLOADS", 2)
    begun = {await store.begin_upload(quarantine_key(files.school_id, new_id()), media_type=PNG) for _ in range(5)}

    found = await store.open_uploads(f"school/{files.school_id}/")

    assert {each.upload_id for each in found} == begun
    assert len(found) == len(begun)


async def test_the_bucket_is_looked_through_page_by_page_by_one_worker_at_a_time(
    files: FileSchool, settings: Settings, store: FileStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.communication.files.sweeper.PAGE", 2)
    for _ in range(3):
        await files.uploaded(pdf())
    time.passes(days=2)

    async with Database(settings) as database:
        one, other = Sweeper(database, store, settings), Sweeper(database, store, settings)
        async with database.transaction() as tx:
            from services.communication.files import queries  # noqa: PLC0415

            now = clock.now()
            assert await queries.claim_sweep(tx, now=now, lease_until=now + timedelta(minutes=10)) is not None
        assert await one.sweep_bucket() is False
        time.passes(minutes=11)
        pages = 0
        while await (one, other)[pages % 2].sweep_bucket():
            pages += 1

    assert pages >= 1


async def test_an_object_that_cannot_be_removed_holds_up_no_other(
    files: FileSchool, store: FileStore, sweeper: Sweeper, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn, other = await files.ready(), await files.ready()
    for file_id in (stubborn, other):
        await files.ask("DELETE", f"/{file_id}")
    time.passes(minutes=16)
    remove = FileStore.remove

    async def reluctant(self: FileStore, key: str) -> None:
        if stubborn in key:
            raise Unavailable
        await remove(self, key)

    monkeypatch.setattr(FileStore, "remove", reluctant)
    await sweep(sweeper)
    first = await keys(store, files)
    monkeypatch.undo()
    time.passes(minutes=2)
    await sweep(sweeper)

    assert first
    assert all(stubborn in key for key in first)
    assert await keys(store, files) == []
