"""Uploading a roster file and asking for it to be applied; the work itself is the worker's (see `importer`)."""

import hashlib
from datetime import datetime
from uuid import UUID

from services.academic.imports import queries, rules
from services.academic.imports.schemas import ApplyRequest, ImportJob
from shared.database import Database
from shared.ids import new_id
from shared.objects import Objects
from shared.problems import NotFound


async def upload(database: Database, objects: Objects, content: bytes, *, user_id: UUID, now: datetime) -> ImportJob:
    """Keep the file and queue its check. The file is stored before the job exists, so no job is without one."""
    job_id = new_id()
    await objects.put(rules.object_key(job_id), content, media_type="application/zip")
    async with database.transaction() as tx:
        await queries.add_job(
            tx,
            job_id=job_id,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            created_by=user_id,
            now=now,
        )
        found = await queries.jobs(tx, job_id=job_id)
    return found[0]


async def apply(database: Database, job_id: UUID, request: ApplyRequest, *, now: datetime) -> ImportJob:
    """Queue an import that was checked. Raises NotFound, NotChecked, TooManyVanished."""
    async with database.transaction() as tx:
        found = await queries.jobs(tx, job_id=job_id)
        if not found:
            raise NotFound
        report = found[0].report
        rules.require_confirmed(report.vanished if report else (), is_confirmed=request.confirm_vanished)
        if not await queries.begin_applying(tx, job_id=job_id, is_confirmed=request.confirm_vanished, now=now):
            raise rules.NotChecked(rules.why_not_applied(found[0]))
        found = await queries.jobs(tx, job_id=job_id)
    return found[0]
