"""SQL over import jobs and over what a roster file calls its organisations. No tenant: see the migration."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.academic.imports.schemas import ClaimedJob, ImportJob, JobFile, KnownOrg, Report, State
from services.academic.roster.schemas import RowError
from shared.database import Reader, Tx


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    state: State
    step: str
    steps_done: int
    steps_total: int
    sha256: str
    size_bytes: int
    created_at: datetime
    updated_at: datetime
    report: str | None
    row_errors: str
    row_error_count: int
    problem: str | None
    is_confirmed: bool


# Newest first: ids grow with time.
JOBS = """
-- unscoped: an import spans the schools of a district.
SELECT id, state, step, steps_done, steps_total, sha256, size_bytes, created_at, updated_at, report::text AS report,
       row_errors::text AS row_errors, row_error_count, problem, is_confirmed
FROM import_job
WHERE (%(job_id)s::uuid IS NULL OR id = %(job_id)s)
AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s
"""


async def jobs(
    reader: Reader, *, job_id: UUID | None = None, before: UUID | None = None, limit: int = 1
) -> list[ImportJob]:
    rows = await reader.all(JobRow, JOBS, job_id=job_id, before=before, limit=limit)
    return [_job(row) for row in rows]


def _job(row: JobRow) -> ImportJob:
    fields = msgspec.structs.asdict(row)
    fields["report"] = msgspec.json.decode(row.report, type=Report) if row.report else None
    fields["row_errors"] = msgspec.json.decode(row.row_errors, type=list[RowError])
    return ImportJob(**fields)


ADD_JOB = """
-- unscoped: an import spans the schools of a district.
INSERT INTO import_job (id, state, sha256, size_bytes, created_by, created_at, updated_at)
VALUES (%(id)s, 'checking', %(sha256)s, %(size_bytes)s, %(created_by)s, %(now)s, %(now)s)
"""


async def add_job(tx: Tx, *, job_id: UUID, sha256: str, size_bytes: int, created_by: UUID, now: datetime) -> None:
    await tx.execute(ADD_JOB, id=job_id, sha256=sha256, size_bytes=size_bytes, created_by=created_by, now=now)


# A job whose lease is over was left by a worker that died. Uses import_job_open.
CLAIM = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET lease_until = %(lease_until)s, attempt = attempt + 1, updated_at = %(now)s
WHERE id = (
    SELECT id
    FROM import_job
    WHERE state IN ('checking', 'applying')
    AND (lease_until IS NULL OR lease_until < %(now)s)
    ORDER BY created_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING id, state, is_confirmed, attempt
"""


async def claim(tx: Tx, *, now: datetime, lease: timedelta) -> ClaimedJob | None:
    return await tx.one(ClaimedJob, CLAIM, now=now, lease_until=now + lease)


# Only the worker that holds the job may move it: an older attempt finds another number.
PROGRESS = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET step = %(step)s, steps_done = %(steps_done)s, steps_total = %(steps_total)s, lease_until = %(lease_until)s,
    updated_at = %(now)s
WHERE id = %(job_id)s
AND attempt = %(attempt)s
AND state IN ('checking', 'applying')
"""


async def save_progress(
    tx: Tx, job: ClaimedJob, *, step: str, done: int, total: int, now: datetime, lease: timedelta
) -> bool:
    """Tell how far the work is, and hold on to the job; False when another worker has it."""
    moved = await tx.execute(
        PROGRESS,
        job_id=job.id,
        attempt=job.attempt,
        step=step,
        steps_done=done,
        steps_total=total,
        now=now,
        lease_until=now + lease,
    )
    return moved == 1


RENEW_LEASE = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET lease_until = %(lease_until)s
WHERE id = %(job_id)s
AND attempt = %(attempt)s
"""


async def renew_lease(tx: Tx, job: ClaimedJob, *, now: datetime, lease: timedelta) -> None:
    await tx.execute(RENEW_LEASE, job_id=job.id, attempt=job.attempt, lease_until=now + lease)


END = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET state = %(state)s, report = coalesce(%(report)s::jsonb, report), row_errors = %(row_errors)s::jsonb,
    row_error_count = %(row_error_count)s, problem = %(problem)s, step = '', steps_done = steps_total,
    lease_until = NULL, updated_at = %(now)s
WHERE id = %(job_id)s
AND attempt = %(attempt)s
AND state IN ('checking', 'applying')
"""


async def end(
    tx: Tx,
    job: ClaimedJob,
    state: State,
    *,
    now: datetime,
    report: Report | None = None,
    row_errors: Sequence[RowError] = (),
    row_error_count: int = 0,
    problem: str | None = None,
) -> bool:
    """Give the job its outcome; False when another worker has it."""
    moved = await tx.execute(
        END,
        job_id=job.id,
        attempt=job.attempt,
        state=state,
        report=msgspec.json.encode(report).decode() if report else None,
        row_errors=msgspec.json.encode(row_errors).decode(),
        row_error_count=row_error_count,
        problem=problem,
        now=now,
    )
    return moved == 1


BEGIN_APPLYING = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET state = 'applying', is_confirmed = %(is_confirmed)s, problem = NULL, attempt = 0, lease_until = NULL,
    steps_done = 0, updated_at = %(now)s
WHERE id = %(job_id)s
AND state IN ('checked', 'failed')
AND report IS NOT NULL
AND file_removed_at IS NULL
"""


async def begin_applying(tx: Tx, *, job_id: UUID, is_confirmed: bool, now: datetime) -> bool:
    return await tx.execute(BEGIN_APPLYING, job_id=job_id, is_confirmed=is_confirmed, now=now) == 1


# Nobody begins to apply one of these at the same time: see BEGIN_APPLYING.
GIVE_UP_FILES = """
-- unscoped: an import spans the schools of a district.
UPDATE import_job
SET file_removed_at = %(now)s
WHERE state NOT IN ('checking', 'applying')
AND updated_at < %(rests_since)s
AND file_removed_at IS NULL
"""


async def give_up_files(tx: Tx, *, rests_since: datetime, now: datetime) -> None:
    """From now on the roster files of imports that have been at rest for so long are not wanted any more."""
    await tx.execute(GIVE_UP_FILES, rests_since=rests_since, now=now)


JOB_FILES = """
-- unscoped: an import spans the schools of a district.
SELECT id, file_removed_at IS NULL AS is_kept
FROM import_job
WHERE id = ANY(%(job_ids)s)
ORDER BY id
LIMIT 1000
"""


async def job_files(tx: Tx, *, job_ids: Sequence[UUID]) -> list[JobFile]:
    """At most 1,000 of them."""
    return await tx.all(JobFile, JOB_FILES, job_ids=job_ids)


LOCK_DISTRICT = """
SELECT pg_advisory_xact_lock(hashtextextended('import:' || %(district_sourced_id)s, 0))
"""


async def lock_district(tx: Tx, *, district_sourced_id: str) -> None:
    """One import of a district at a time, until the end of the transaction."""
    await tx.execute(LOCK_DISTRICT, district_sourced_id=district_sourced_id)


KNOWN_ORGS = """
-- unscoped: which school a sourced id is must be known before one can act as that school.
SELECT sourced_id, name, school_id
FROM roster_org
WHERE district_sourced_id = %(district_sourced_id)s
ORDER BY sourced_id
LIMIT 5000
"""


async def known_orgs(reader: Reader, *, district_sourced_id: str) -> dict[str, KnownOrg]:
    rows = await reader.all(KnownOrg, KNOWN_ORGS, district_sourced_id=district_sourced_id)
    return {row.sourced_id: row for row in rows}


SAVE_ORG = """
-- unscoped: which school a sourced id is must be known before one can act as that school.
INSERT INTO roster_org (district_sourced_id, sourced_id, name, school_id)
VALUES (%(district_sourced_id)s, %(sourced_id)s, %(name)s, %(school_id)s)
ON CONFLICT (district_sourced_id, sourced_id) DO UPDATE
SET name = excluded.name, school_id = excluded.school_id
"""

FORGET_ORGS = """
-- unscoped: which school a sourced id is must be known before one can act as that school.
DELETE FROM roster_org
WHERE district_sourced_id = %(district_sourced_id)s
AND sourced_id <> ALL(%(sourced_ids)s)
"""


async def save_orgs(tx: Tx, *, district_sourced_id: str, orgs: Sequence[KnownOrg]) -> None:
    """Keep exactly these organisations of a district."""
    await tx.execute_many(
        SAVE_ORG, [{"district_sourced_id": district_sourced_id, **msgspec.structs.asdict(org)} for org in orgs]
    )
    await tx.execute(FORGET_ORGS, district_sourced_id=district_sourced_id, sourced_ids=[org.sourced_id for org in orgs])
