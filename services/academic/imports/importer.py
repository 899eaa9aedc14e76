"""The worker's side of imports: takes up one job at a time, and again when a worker died over it.

Checking changes nothing. Applying first lets `school` have its part, which may be repeated, and then writes all
schools of the district in one transaction that also ends the job: killed at any point, it is done whole or not at all.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from psycopg.errors import ExclusionViolation

from services.academic.attendance.actions import add_default_codes
from services.academic.calendar import queries as calendar
from services.academic.calendar.actions import save_calendar, save_school
from services.academic.classes import queries as classes
from services.academic.classes.actions import import_classes
from services.academic.enrolments import queries as enrolments
from services.academic.enrolments.actions import import_enrolments
from services.academic.imports import queries, rules
from services.academic.imports.actions import object_key
from services.academic.imports.schemas import (
    ClaimedJob,
    ClashCount,
    Diff,
    KnownOrg,
    KnownSession,
    Report,
    SchoolRoster,
    Totals,
    Vanished,
)
from services.academic.people import queries as people
from services.academic.people.actions import import_students, import_teachers
from services.academic.roster.reader import read_roster
from services.academic.roster.rules import RosterRejected
from services.academic.roster.schemas import Roster
from services.academic.timetable import queries as timetable
from services.academic.timetable.actions import plan_school
from shared import clock
from shared.clients import InternalClient
from shared.contracts.roster import RosterSchoolSaved, RosterUpserted
from shared.database import Database, Reader, Tx, switch_school
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
            content = await self._objects.get(object_key(job.id))
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
        parts = rules.schools_of(roster)
        known = await queries.known_orgs(self._database.reader(), district_sourced_id=roster.district.sourced_id)
        names = school_names(roster, known)
        diffs: list[Diff] = [organisations_diff(roster, known)]
        vanished: list[Vanished] = []
        sessions: dict[str, KnownSession] = {}
        for number, (sourced_id, name) in enumerate(names.items()):
            await self._progress(job, f"comparing {name}", number, len(names))
            wanted, present = parts.get(sourced_id, SchoolRoster()), SchoolRoster()
            school_id = known[sourced_id].school_id if sourced_id in known else None
            today = clock.now().date()
            if school_id:
                reader = self._database.reader(school_id=school_id)
                present = await present_of(reader, school_id)
                today = await calendar.today(reader, school_id=school_id)
                sessions |= await known_sessions(reader, school_id)
            diffs.append(rules.school_diff(wanted, present, day=today))
            vanished += rules.vanished_people(name, wanted, present)
        diffs.append(Diff(academic_sessions=rules.compare(rules.sessions_of(roster), sessions)))
        report = report_of(roster, parts, diffs, vanished)
        async with self._database.transaction() as tx:
            await queries.end(tx, job, "checked", report=report, now=clock.now())

    async def _apply(self, job: ClaimedJob, roster: Roster) -> None:
        parts = rules.schools_of(roster)
        await self._progress(job, "schools and sessions", 0, len(parts) + 1)
        saved = await self._school.put(self._roster_url, rules.upsert_of(roster), RosterUpserted)
        async with self._database.transaction() as tx:
            await queries.lock_district(tx, district_sourced_id=roster.district.sourced_id)
            known = await queries.known_orgs(tx, district_sourced_id=roster.district.sourced_id)
            diffs: list[Diff] = [organisations_diff(roster, known)]
            vanished: list[Vanished] = []
            clashes: list[ClashCount] = []
            before: dict[str, KnownSession] = {}
            for number, school in enumerate(saved.schools):
                name, school_id = school.school.name, school.school.school_id
                await self._progress(job, name, number + 1, len(parts) + 1)
                await switch_school(tx, school_id)
                before |= await known_sessions(tx, school_id)
                await _save_school(tx, school)
                diff, gone = await _apply_school(tx, school_id, name, parts[school.sourced_id])
                diffs.append(diff)
                vanished += gone
                count = await timetable.clash_count(tx, school_id=school_id)
                clashes.append(ClashCount(school=name, clashes=count))
            for org in _closed(roster, known):
                assert org.school_id is not None
                await switch_school(tx, org.school_id)
                diff, gone = await _apply_school(tx, org.school_id, org.name, SchoolRoster())
                diffs.append(diff)
                vanished += gone
            rules.require_confirmed(vanished, is_confirmed=job.is_confirmed)
            diffs.append(Diff(academic_sessions=rules.compare(rules.sessions_of(roster), before)))
            await queries.save_orgs(
                tx, district_sourced_id=roster.district.sourced_id, orgs=_orgs(roster, saved.schools)
            )
            stored = await _stored(tx, roster, parts, saved.schools)
            report = msgspec.structs.replace(
                report_of(roster, parts, diffs, vanished), stored=stored, timetable_clashes=clashes
            )
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


async def present_of(reader: Reader, school_id: UUID) -> SchoolRoster:
    """What a school has that came out of another system."""
    return SchoolRoster(
        courses={each.sourced_id: each for each in await classes.present_courses(reader, school_id=school_id)},
        classes={each.sourced_id: each for each in await classes.present_classes(reader, school_id=school_id)},
        students={each.sourced_id: each for each in await people.present_students(reader, school_id=school_id)},
        teachers={each.sourced_id: each for each in await people.present_teachers(reader, school_id=school_id)},
        enrolments={each.sourced_id: each for each in await enrolments.present_enrolments(reader, school_id=school_id)},
    )


async def known_sessions(reader: Reader, school_id: UUID) -> dict[str, KnownSession]:
    return {
        each.sourced_id: KnownSession(
            sourced_id=each.sourced_id,
            title=each.title,
            kind=each.kind,
            starts_on=each.starts_on,
            ends_on=each.ends_on,
        )
        for each in await calendar.sessions(reader, school_id=school_id)
        if each.sourced_id
    }


def school_names(roster: Roster, known: Mapping[str, KnownOrg]) -> dict[str, str]:
    """The schools of the file and those that are in it no more."""
    return {
        **{school.sourced_id: school.name for school in roster.schools},
        **{org.sourced_id: org.name for org in _closed(roster, known)},
    }


def organisations_diff(roster: Roster, known: Mapping[str, KnownOrg]) -> Diff:
    wanted = {each.sourced_id: each.name for each in (roster.district, *roster.schools)}
    return Diff(organisations=rules.compare(wanted, {key: org.name for key, org in known.items()}))


def report_of(
    roster: Roster, parts: Mapping[str, SchoolRoster], diffs: Sequence[Diff], vanished: list[Vanished]
) -> Report:
    return Report(
        oneroster_version=roster.version,
        rows=dict(roster.counts),
        totals=rules.totals_of(roster, parts.values()),
        diff=rules.add_up(diffs),
        vanished=vanished,
        notes=list(roster.notes),
    )


async def _save_school(tx: Tx, saved: RosterSchoolSaved) -> None:
    """The same that the events of `school` will tell, without waiting for them."""
    school_id = saved.school.school_id
    is_news = await save_school(tx, school_id, saved.school, version=saved.school_version)
    is_news |= await save_calendar(tx, school_id, saved.calendar, version=saved.calendar_version)
    await add_default_codes(tx, school_id)
    if is_news:
        await plan_school(tx, school_id, now=clock.now())


async def _apply_school(tx: Tx, school_id: UUID, name: str, wanted: SchoolRoster) -> tuple[Diff, list[Vanished]]:
    """Make one school what the file says of it. The transaction acts as that school."""
    present = await present_of(tx, school_id)
    now, today = clock.now(), await calendar.today(tx, school_id=school_id)
    await import_students(
        tx, school_id, list(wanted.students.values()), left=sorted(present.students.keys() - wanted.students.keys())
    )
    await import_teachers(
        tx, school_id, list(wanted.teachers.values()), left=sorted(present.teachers.keys() - wanted.teachers.keys())
    )
    changed = await import_classes(
        tx,
        school_id,
        courses=list(wanted.courses.values()),
        classes=list(wanted.classes.values()),
        gone_classes=sorted(present.classes.keys() - wanted.classes.keys()),
    )
    await import_enrolments(
        tx,
        school_id,
        list(wanted.enrolments.values()),
        gone=rules.gone_enrolments(wanted, present, day=today),
        changed_classes=changed,
        day=today,
        now=now,
    )
    return rules.school_diff(wanted, present, day=today), rules.vanished_people(name, wanted, present)


async def _stored(
    tx: Tx, roster: Roster, parts: Mapping[str, SchoolRoster], schools: Sequence[RosterSchoolSaved]
) -> Totals:
    """Read everything back and count it. Raises DoesNotReconcile when it is not what the file holds."""
    stored: list[SchoolRoster] = []
    for school in schools:
        school_id = school.school.school_id
        await switch_school(tx, school_id)
        wanted, present = parts[school.sourced_id], await present_of(tx, school_id)
        found = SchoolRoster(
            courses={key: present.courses[key] for key in wanted.courses.keys() & present.courses.keys()},
            classes=present.classes,
            students=present.students,
            teachers=present.teachers,
            enrolments={key: present.enrolments[key] for key in wanted.enrolments.keys() & present.enrolments.keys()},
        )
        if found != wanted:
            raise rules.DoesNotReconcile(school.school.name)
        stored.append(found)
    return rules.totals_of(roster, stored)


def _closed(roster: Roster, known: Mapping[str, KnownOrg]) -> list[KnownOrg]:
    """Schools that are in the file no more."""
    there = {school.sourced_id for school in roster.schools}
    return [org for org in known.values() if org.school_id and org.sourced_id not in there]


def _orgs(roster: Roster, schools: Sequence[RosterSchoolSaved]) -> list[KnownOrg]:
    """The organisations of the file under its own names: a school may call itself otherwise since."""
    ids = {each.sourced_id: each.school.school_id for each in schools}
    return [
        KnownOrg(sourced_id=each.sourced_id, name=each.name, school_id=ids.get(each.sourced_id))
        for each in (roster.district, *roster.schools)
    ]


def _explain(error: Exception) -> str:
    if isinstance(error, rules.DoesNotReconcile):
        return f"What was stored for {error} is not what the file holds; nothing was changed."
    return "An enrolment of the file overlaps one that was made by hand; nothing was changed."
