"""The worker's side of imports: takes up one job at a time, and again when a worker died over it.

Checking changes nothing. Applying first lets `school` have its part, which may be repeated, and then writes all
schools of the district in one transaction that also ends the job: killed at any point, it is done whole or not at all.
"""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from psycopg.errors import ExclusionViolation

from services.academic.imports import queries, rules
from services.academic.imports.district import compare, write
from services.academic.imports.schemas import ClaimedJob
from services.academic.roster.reader import read_roster
from services.academic.roster.rules import RosterRejected
from services.academic.roster.schemas import Roster
from shared import clock
from shared.clients import InternalClient
from shared.contracts.roster import RosterUpserted
from shared.database import Database
from shared.objects import Objects
from shared.problems import Problem, Unavailable

log = structlog.get_logger()

MAX_ATTEMPTS: Final = 5
RETRY_S: Final = 5.0


class Superseded(Exception):
    """Another worker has taken the job up: what this one did is rolled back."""


class Importer:
    def __init__(
        self, database: Database, objects: Objects, school: InternalClient, *, school_url: str, lease_s: float
    ) -> None:
        self._database = database
        self._objects = objects
        self._school = school
        self._roster_url = f"{school_url.rstrip('/')}/internal/roster"
        self._lease = timedelta(seconds=lease_s)

    async def work(self) -> bool:
        """Do one job, if there is one; whether there was."""
        async with self._database.transaction() as tx:
            job = await queries.claim(tx, now=clock.now(), lease=self._lease)
        if job is None:
            return False
        async with self._held(job):
            await self._do(job)
        return True

    async def _do(self, job: ClaimedJob) -> None:
        try:
            if job.attempt > MAX_ATTEMPTS:
                await self._fail(job, f"Given up after {MAX_ATTEMPTS} attempts; nothing was changed.")
                return
            content = await self._objects.get(rules.object_key(job.id))
            roster = await asyncio.to_thread(read_roster, io.BytesIO(content))
            await (self._check(job, roster) if job.state == "checking" else self._apply(job, roster))
        except RosterRejected as error:
            await self._reject(job, error)
        except Unavailable as error:
            await self._retry_soon(job, error.detail)
        except Superseded:
            log.warning("import_superseded", job_id=str(job.id))
        except Problem as error:
            await self._fail(job, error.detail or error.title)
        except (ExclusionViolation, rules.DoesNotReconcile) as error:
            log.warning("import_failed", job_id=str(job.id), error=type(error).__name__)
            await self._fail(job, _explain(error))

    async def _check(self, job: ClaimedJob, roster: Roster) -> None:
        report = await compare(self._database, roster, partial(self._progress, job))
        async with self._database.transaction() as tx:
            await queries.end(tx, job, "checked", report=report, now=clock.now())

    async def _apply(self, job: ClaimedJob, roster: Roster) -> None:
        progress = partial(self._progress, job)
        await progress("schools and sessions", 0, len(roster.schools) + 1)
        saved = await self._school.put(self._roster_url, rules.upsert_of(roster), RosterUpserted)
        async with self._database.transaction() as tx:
            report = await write(tx, roster, saved.schools, progress, is_confirmed=job.is_confirmed)
            if not await queries.end(tx, job, "applied", report=report, now=clock.now()):
                raise Superseded

    async def _progress(self, job: ClaimedJob, step: str, done: int, total: int) -> None:
        """On a connection of its own, so that it can be seen while the import's transaction is open."""
        async with self._database.transaction() as tx:
            held = await queries.save_progress(
                tx, job, step=step, done=done, total=total, now=clock.now(), lease=self._lease
            )
        if not held:
            raise Superseded

    @asynccontextmanager
    async def _held(self, job: ClaimedJob) -> AsyncGenerator[None]:
        """Renew the lease while this process lives."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._lease.total_seconds() / 3)
                async with self._database.transaction() as tx:
                    await queries.renew_lease(tx, job, now=clock.now(), lease=self._lease)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()

    async def _reject(self, job: ClaimedJob, error: RosterRejected) -> None:
        async with self._database.transaction() as tx:
            await queries.end(
                tx,
                job,
                "rejected",
                row_errors=error.extras["row_errors"],
                row_error_count=error.extras["row_error_count"],
                problem=error.detail,
                now=clock.now(),
            )

    async def _fail(self, job: ClaimedJob, problem: str) -> None:
        async with self._database.transaction() as tx:
            await queries.end(tx, job, "failed", problem=problem, now=clock.now())

    async def _retry_soon(self, job: ClaimedJob, reason: str) -> None:
        log.warning("import_waits", job_id=str(job.id), reason=reason)
        async with self._database.transaction() as tx:
            await queries.renew_lease(tx, job, now=clock.now(), lease=timedelta(seconds=RETRY_S))


def _explain(error: Exception) -> str:
    if isinstance(error, rules.DoesNotReconcile):
        return f"What was stored for {error} is not what the file holds; nothing was changed."
    return "An enrolment of the file overlaps one that was made by hand; nothing was changed."
