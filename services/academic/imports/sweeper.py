"""Clears away roster files that nobody reads any more: each holds all people of a district.

Any number of workers may do so at the same time: what is to go is told in the job first, and stays so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.academic.imports import queries, rules
from services.academic.settings import Settings
from shared import clock
from shared.database import Database
from shared.objects import ListedObject, Objects

log = structlog.get_logger()

PAGE: Final = 500
STRAY_AFTER: Final = timedelta(days=1)
"""A file is stored a moment before its job; one that has none for so long never gets one."""


class Sweeper:
    def __init__(self, database: Database, objects: Objects, settings: Settings) -> None:
        self._database = database
        self._objects = objects
        self._max_age = timedelta(days=settings.import_file_max_age_d)

    async def sweep(self) -> None:
        """Look through all roster files. Raises Unavailable; what it has not removed then goes the next time."""
        now = clock.now()
        async with self._database.transaction() as tx:
            await queries.give_up_files(tx, rests_since=now - self._max_age, now=now)
        after: str | None = ""
        while after is not None:
            found = await self._objects.listed(rules.FILES, after=after, limit=PAGE)
            unwanted = await self._unwanted(found, now)
            for key in unwanted:
                await self._objects.remove(key)
            if unwanted:
                log.info("roster_files_removed", count=len(unwanted))
            after = found[-1].key if len(found) == PAGE else None

    async def _unwanted(self, found: Sequence[ListedObject], now: datetime) -> list[str]:
        jobs = {job_id: each for each in found if (job_id := rules.job_of(each.key)) is not None}
        async with self._database.transaction() as tx:
            known = await queries.job_files(tx, job_ids=sorted(jobs))
        is_kept = {each.id: each.is_kept for each in known}
        return [
            each.key for job_id, each in jobs.items() if not is_kept.get(job_id, each.changed_at >= now - STRAY_AFTER)
        ]
