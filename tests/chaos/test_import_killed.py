"""A district is imported whole or not at all, and nobody sees anything in between, whoever is killed."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from services.academic.app import create_app
from services.academic.imports.importer import MAX_ATTEMPTS
from services.academic.settings import Settings
from services.academic.tests.rosters import Files, a_roster, district_file
from shared.identity import Role
from shared.testing.http import client_of
from shared.testing.tokens import Tokens
from tests.chaos.conftest import OwnStack
from tests.chaos.harness import SEED, chance, python, scaled, until
from tests.chaos.school_stub import school_id
from tools.embedded.object_store import EmbeddedObjectStore
from tools.embedded.processes import Process, free_port, is_listening

pytestmark = pytest.mark.chaos

SCHOOLS = 8
STUDENTS = 300
BUCKET = "imports-chaos"
SIGHT = """
SELECT (SELECT count(*) FROM academic.student WHERE school_id = ANY(%(schools)s)),
       (SELECT count(*) FROM academic.enrolment WHERE school_id = ANY(%(schools)s)),
       (SELECT count(*) FROM academic.outbox WHERE type = 'academic.student_changed.v1')
"""
JOB = "SELECT state, attempt, steps_done, coalesce(problem, '') || row_errors FROM academic.import_job WHERE id = %s"

ENDS = {"rejected", "failed", "applied"}

Sight = tuple[int, int, int]
"""Students, enrolments and events of students, at one moment."""


def a_district(*, schools: int, students: int) -> tuple[str, Files]:
    """The district's sourced id, and its files: the schools are alike, but for their sourced ids."""
    one = a_roster(students=students)
    head, district_row, school_row, *_ = one["orgs.csv"].splitlines(True)
    one["orgs.csv"] = head + school_row
    files = dict(one)
    for name in ("orgs.csv", "classes.csv", "users.csv", "enrollments.csv"):
        head, *rows = one[name].splitlines(True)
        files[name] = head + "".join(_of_school(row, number) for number in range(schools) for row in rows)
    files["orgs.csv"] += district_row
    return district_row.split(",")[0], files


def _of_school(row: str, number: int) -> str:
    for kind in ("school-1", "class-", "student-", "teacher-"):
        row = row.replace(kind, f"s{number}-{kind}")
    return row


class Office:
    """Uploads and applies as the platform's admin; looks at everything without pause."""

    def __init__(self, stack: OwnStack, client: httpx.AsyncClient, tokens: Tokens, district: str) -> None:
        self.sights: set[Sight] = set()
        self.looks = 0
        self._stack, self._client = stack, client
        self._headers = tokens.headers(Role.PLATFORM_ADMIN)
        self._schools = [school_id(district, f"s{number}-school-1") for number in range(SCHOOLS)]
        self._job_id: UUID | None = None
        self._connection = psycopg.connect(stack.admin_url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    async def upload(self, files: Files) -> None:
        answer = await self._client.post(
            "/api/v1/imports",
            content=district_file(files),
            headers={**self._headers, "Content-Type": "application/zip"},
        )
        assert answer.status_code == 202, answer.text
        self._job_id = UUID(answer.json()["id"])
        await self.sees("checked")

    async def apply(self) -> None:
        answer = await self._client.post(f"/api/v1/imports/{self._job_id}/apply", json={}, headers=self._headers)
        assert answer.status_code == 202, answer.text

    async def report(self) -> dict[str, Any]:
        return (await self._client.get(f"/api/v1/imports/{self._job_id}", headers=self._headers)).json()

    async def sees(self, state: str) -> None:
        """Wait until the import has come to `state`; no other end will do."""
        await until(lambda: self.job()[0] in {state, *ENDS}, f"the import to be {state}")
        assert self.job()[0] == state, self.job()

    def job(self) -> tuple[str, int, int, str]:
        found = self._connection.execute(JOB, (self._job_id,)).fetchone()
        assert found is not None
        return found

    @asynccontextmanager
    async def looking(self) -> AsyncGenerator[None]:
        async def look() -> None:
            async with await psycopg.AsyncConnection.connect(self._stack.admin_url, autocommit=True) as connection:
                while True:
                    cursor = await connection.execute(SIGHT, {"schools": self._schools})
                    found = await cursor.fetchone()
                    assert found is not None
                    self.sights.add(found)
                    self.looks += 1
                    await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(look())
            yield
            looking.cancel()


@pytest.fixture
def neighbours(tmp_path: Path) -> Generator[dict[str, str]]:
    """An object store, and what answers for `school` and `auth`: where they are, as the worker's environment."""
    store = EmbeddedObjectStore(
        tmp_path / "objects",
        access_key_id="key",
        secret_access_key="secret",
        bucket=BUCKET,
        log=tmp_path / "objects.log",
    )
    port = free_port()
    stub = python("the stub", "tests.chaos.school_stub", str(port), log=tmp_path / "stub.log", env={})
    stub.start()
    store.start()
    stub.wait_ready(lambda: is_listening(port), 30)
    url = f"http://127.0.0.1:{port}"
    yield {"S3_ENDPOINT_URL": store.url, "S3_BUCKET": BUCKET, "SCHOOL_URL": url, "AUTH_URL": url}
    store.stop()
    stub.stop()


@pytest.fixture
async def district() -> tuple[str, Files]:
    return a_district(schools=SCHOOLS, students=STUDENTS)


@pytest.fixture
async def office(
    own_stack: OwnStack, tokens: Tokens, neighbours: dict[str, str], district: tuple[str, Files]
) -> AsyncGenerator[Office]:
    where = {name.lower(): value for name, value in neighbours.items()}
    settings = own_stack.settings(Settings, "academic", **where)
    async with client_of(create_app(settings, tokens.verifier)) as client:
        office = Office(own_stack, client, tokens, district[0])
        yield office
        office.close()


def a_worker(stack: OwnStack, neighbours: dict[str, str], log: Path, module: str = "services.academic") -> Process:
    quick = {"IMPORT_LEASE_S": "1", "IMPORT_POLL_S": "0.1"}
    return python("worker", module, "worker", log=log, env={**stack.service_env("academic"), **neighbours, **quick})


class Killer:
    """Kills the worker while it applies, at a random school and a random moment of it."""

    def __init__(self, office: Office, worker: Process) -> None:
        self.hits = 0
        self._office, self._worker, self._dice = office, worker, chance()

    async def kill(self, *, attempt: int) -> None:
        step = self._dice.randint(1, SCHOOLS - 2)

        def is_there() -> bool:
            self._worker.ensure_running()
            state, now, done, _ = self._office.job()
            return state == "applied" or (state == "applying" and now == attempt and done >= step)

        await until(is_there, f"attempt {attempt} to be at school {step}", pause_s=0.005)
        await asyncio.sleep(self._dice.uniform(0, 0.05))
        self._worker.kill()
        self.hits += self._office.job()[:2] == ("applying", attempt)
        self._worker.start()


async def test_a_reader_sees_all_of_an_import_or_nothing(
    own_stack: OwnStack, office: Office, neighbours: dict[str, str], district: tuple[str, Files], tmp_path: Path
) -> None:
    worker = a_worker(own_stack, neighbours, tmp_path / "worker.log")
    killer = Killer(office, worker)
    try:
        async with office.looking():
            worker.start()
            await office.upload(district[1])
            for _ in range(scaled(1)):
                await office.apply()
                for attempt in range(1, MAX_ATTEMPTS + 1):
                    await killer.kill(attempt=attempt)
                await office.sees("failed")
            assert office.sights == {(0, 0, 0)}, office.sights
            await office.apply()
            await killer.kill(attempt=1)
            await office.sees("applied")
            await asyncio.sleep(0.2)
    finally:
        worker.stop()

    whole = (SCHOOLS * STUDENTS, SCHOOLS * (STUDENTS * 2 + 2), SCHOOLS * STUDENTS)
    report = (await office.report())["report"]
    print(f"{killer.hits} hits, {office.looks} looks: {office.sights} (CHAOS_SEED={SEED})")
    assert office.sights == {(0, 0, 0), whole}, f"CHAOS_SEED={SEED}"
    assert report["stored"] == report["totals"]
    assert report["stored"]["students"] == SCHOOLS * STUDENTS
    # The trial has hit something.
    assert killer.hits >= MAX_ATTEMPTS * scaled(1)
    assert office.looks > 500


async def test_control_an_import_that_commits_after_each_school_is_seen_half_done(
    own_stack: OwnStack, office: Office, neighbours: dict[str, str], district: tuple[str, Files], tmp_path: Path
) -> None:
    worker = a_worker(own_stack, neighbours, tmp_path / "worker.log", "tests.chaos.broken.academic_per_school")
    try:
        async with office.looking():
            worker.start()
            await office.upload(district[1])
            await office.apply()
            await office.sees("applied")
    finally:
        worker.stop()

    print(sorted(office.sights))
    half = {students for students, _, _ in office.sights} - {0, SCHOOLS * STUDENTS}
    assert half
