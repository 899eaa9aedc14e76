"""What the worker clears away: files that nobody completed or uses, objects that are to go, objects of nobody."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import structlog

from services.communication.files import queries, rules
from services.communication.files.actions import discard
from services.communication.files.schemas import FileRow, Removal
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from shared import clock
from shared.database import Database, Tx, switch_school
from shared.objects import ListedObject
from shared.problems import Unavailable

log = structlog.get_logger()

BATCH: Final = 50
PAGE: Final = 500
RETRY: Final = timedelta(minutes=1)
"""After which an object that could not be removed is tried again; each time a minute later, an hour at the most."""
POSTPONED: Final = timedelta(minutes=1)
PREFIX: Final = "school/"


class Sweeper:
    def __init__(self, database: Database, store: FileStore, settings: Settings) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._max_age = timedelta(hours=settings.file_pending_max_age_h)
        self._sweep_every = timedelta(hours=settings.bucket_sweep_h)

    async def discard_due(self) -> bool:
        """Forget what was not completed in time, and what has not been used for long. True when there may be more."""
        async with self._database.transaction() as tx:
            due = await queries.claim_due_files(tx, now=clock.now(), limit=BATCH)
            # In order of the schools: two workers must not wait for each other's.
            ordered = sorted(due, key=lambda each: each.school_id)
            for school_id, of_school in groupby(ordered, key=lambda each: each.school_id):
                await switch_school(tx, school_id)
                await self._discard(tx, school_id, [each.file_id for each in of_school])
        return len(due) == BATCH

    async def _discard(self, tx: Tx, school_id: UUID, file_ids: Sequence[UUID]) -> None:
        free = await queries.locked_free_files(tx, school_id=school_id, file_ids=file_ids)
        held = set(file_ids) - {row.file_id for row in free}
        await queries.await_files(tx, school_id=school_id, file_ids=sorted(held), due_at=clock.now() + POSTPONED)
        await queries.forget_files(tx, school_id=school_id, file_ids=[row.file_id for row in free])
        await discard(tx, self._settings, school_id, [row for row in free if not row.is_used])

    async def remove_objects(self) -> bool:
        """Take out of the bucket what is to go. True when there may be more."""
        async with self._database.transaction() as tx:
            claimed = await queries.claim_removals(tx, now=clock.now(), retry=RETRY, limit=BATCH)
        gone = [each.object_key for each in claimed if await self._remove(each)]
        async with self._database.transaction() as tx:
            await queries.end_removals(tx, gone)
        return len(claimed) == BATCH

    async def _remove(self, removal: Removal) -> bool:
        """One that cannot be removed must not hold up the others."""
        try:
            if removal.upload_id is not None:
                await self._store.abort_upload(removal.object_key, removal.upload_id)
            await self._store.remove(removal.object_key)
        except Unavailable:
            log.warning("object_not_removed")
            return False
        return True

    async def sweep_bucket(self) -> bool:
        """Look through a part of the bucket for what no file knows. True when there is more of it to look through.

        Such are left by a backup that was restored, or by an upload to a URL that outlived its file.
        """
        now = clock.now()
        async with self._database.transaction() as tx:
            position = await queries.claim_sweep(tx, now=now, lease_until=now + timedelta(minutes=10))
        if position is None:
            return False
        found = await self._store.listed(PREFIX, after=position, limit=PAGE)
        strays = await self._unknown([each for each in found if each.changed_at < now - self._max_age])
        is_end = len(found) < PAGE
        if is_end:
            await self._abort_uploads(now)
        async with self._database.transaction() as tx:
            await queries.add_removals(tx, [Removal(object_key=key, upload_id=None) for key in strays], due_at=now)
            due_at = now + self._sweep_every if is_end else now
            await queries.move_sweep(tx, position="" if is_end else found[-1].key, due_at=due_at)
        if strays:
            log.warning("objects_of_nobody", count=len(strays))
        return not is_end

    async def _abort_uploads(self, now: datetime) -> None:
        """Multipart uploads whose id no file knows: begun a moment before a crash."""
        old = [each for each in await self._store.open_uploads(PREFIX) if each.changed_at < now - self._max_age]
        rows = await self._rows(old)
        for each in old:
            row = rows.get(each.key)
            if each.upload_id is not None and (row is None or row.upload_id != each.upload_id):
                await self._store.abort_upload(each.key, each.upload_id)

    async def _unknown(self, found: Sequence[ListedObject]) -> list[str]:
        """Keys that belong to no file, and never will: ids and attempts are not used twice."""
        rows = await self._rows(found)
        ours = (each.key for each in found if rules.owner_of(each.key) is not None)
        return [key for key in ours if not rules.is_wanted(key, rows.get(key))]

    async def _rows(self, found: Iterable[ListedObject]) -> dict[str, FileRow]:
        """The file that each key was made for, where there is one."""
        keys: defaultdict[UUID, dict[str, UUID]] = defaultdict(dict)
        for each in found:
            if (owner := rules.owner_of(each.key)) is not None:
                keys[owner[0]][each.key] = owner[1]
        rows: dict[str, FileRow] = {}
        for school_id, files in keys.items():
            reader = self._database.reader(school_id=school_id)
            known = await queries.files(reader, school_id=school_id, file_ids=sorted(set(files.values())))
            by_id = {row.file_id: row for row in known}
            rows |= {key: by_id[file_id] for key, file_id in files.items() if file_id in by_id}
        return rows
