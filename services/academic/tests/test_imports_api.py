"""A whole district: looked at first, applied whole or not at all."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

import httpx
import msgspec
import psycopg
import pytest

from services.academic import worker as academic_worker
from services.academic.app import create_app
from services.academic.attendance import actions as attendance
from services.academic.attendance import queries as attendance_queries
from services.academic.imports import importer as importing
from services.academic.imports import queries
from services.academic.imports import sweeper as sweeping
from services.academic.imports.importer import Importer
from services.academic.imports.sweeper import Sweeper
from services.academic.settings import Settings, objects_of
from services.academic.tests.rosters import DISTRICT, a_roster, district_file, without_rows
from shared.contracts.academic import ClassChanged, StudentChanged
from shared.contracts.envelope import event_type
from shared.contracts.roster import RosterSchoolSaved, RosterUpsert, RosterUpserted
from shared.contracts.school import AcademicSession, BellPeriod, CalendarChanged, GradeDay, SchoolChanged
from shared.database import Database
from shared.identity import Role
from shared.ids import new_id
from shared.objects import Objects
from shared.problems import Unavailable
from shared.testing.bus import deliver, published
from shared.testing.http import client_of
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.object_store import EmbeddedObjectStore
from tools.seed import DISTRICT_ZIP

BUCKET = "imports-test"


class SchoolService:
    """Answers as `school` does: ids that follow from the sourced ids, the same versions for the same roster."""

    def __init__(self) -> None:
        self.is_down = False
        self.trips: list[GradeDay] = []
        """Of every school, told since the first answer."""
        self._answer: asyncio.Future[RosterUpserted] = asyncio.get_running_loop().create_future()

    async def answered(self) -> RosterUpserted:
        """What was answered first, a moment after: the import has begun to write by then."""
        answer = await self._answer
        await asyncio.sleep(0.02)
        return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def put(self, _url: str, body: RosterUpsert, _answer: type[RosterUpserted]) -> RosterUpserted:
        if self.is_down:
            raise Unavailable("school is down")
        namespace = uuid5(UUID(int=0), body.district.sourced_id)
        schools = [self._saved(namespace, body, each) for each in body.schools]
        answer = RosterUpserted(district_id=namespace, schools=schools)
        if not self._answer.done():
            self._answer.set_result(answer)
        return answer

    def _saved(self, namespace: UUID, body: RosterUpsert, school: Any) -> RosterSchoolSaved:
        school_id = uuid5(namespace, school.sourced_id)
        return RosterSchoolSaved(
            sourced_id=school.sourced_id,
            is_new=True,
            school=SchoolChanged(
                school_id=school_id, district_id=namespace, name=school.name, time_zone="UTC", grace_period_minutes=10
            ),
            school_version=1,
            calendar=CalendarChanged(
                school_id=school_id,
                academic_sessions=[
                    AcademicSession(
                        academic_session_id=uuid5(school_id, each.sourced_id),
                        sourced_id=each.sourced_id,
                        title=each.title,
                        kind=each.kind,
                        starts_on=each.starts_on,
                        ends_on=each.ends_on,
                    )
                    for each in body.academic_sessions
                ],
                bell_periods=[
                    BellPeriod(
                        period=str(number),
                        weekday=weekday,
                        starts_at=time(8 + number),
                        ends_at=time(8 + number, 45),
                    )
                    for number in range(1, 9)
                    for weekday in range(1, 6)
                ],
                calendar_days=[],
                grade_days=self.trips,
            ),
            calendar_version=1 + len(self.trips),
        )


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedObjectStore]:
    directory: Path = tmp_path_factory.mktemp("objects")
    store = EmbeddedObjectStore(
        directory, access_key_id="key", secret_access_key="secret", bucket=BUCKET, log=directory / "log"
    )
    store.start()
    yield store
    store.stop()


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(Settings, "academic", s3_endpoint_url=object_store.url, s3_bucket=BUCKET, import_lease_s=3.0)


@pytest.fixture(autouse=True)
def no_job_of_another_test(stack: Stack) -> None:
    with psycopg.connect(stack.admin_url) as connection:
        connection.execute("UPDATE academic.import_job SET state = 'failed' WHERE state IN ('checking', 'applying')")


@pytest.fixture
async def school_service() -> SchoolService:
    return SchoolService()


@pytest.fixture
def importer(settings: Settings, database: Database, school_service: SchoolService) -> Importer:
    client: Any = school_service
    return Importer(
        database, objects_of(settings), client, school_url="http://school.test", lease_s=settings.import_lease_s
    )


class Office:
    """The platform admin's means."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens, importer: Importer) -> None:
        self._client, self._importer = client, importer
        self._headers = tokens.headers(Role.PLATFORM_ADMIN)

    async def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = self._headers | how.pop("headers", {})
        return await self._client.request(method, f"/api/v1/imports{path}", headers=headers, **how)

    async def upload(self, content: bytes) -> httpx.Response:
        return await self.send("POST", "", content=content, headers={"Content-Type": "application/zip"})

    async def checked(self, content: bytes) -> dict[str, Any]:
        answer = await self.upload(content)
        assert answer.status_code == 202, answer.text
        assert await self._importer.work()
        return await self.show(answer.json()["id"])

    async def show(self, job_id: str) -> dict[str, Any]:
        return (await self.send("GET", f"/{job_id}")).json()

    async def apply(self, job_id: str, *, confirm: bool = False) -> dict[str, Any]:
        answer = await self.send("POST", f"/{job_id}/apply", json={"confirm_vanished": confirm})
        assert answer.status_code == 202, answer.text
        assert await self._importer.work()
        return await self.show(job_id)

    async def work(self) -> None:
        while await self._importer.work():
            pass

    async def applied(self, content: bytes, *, confirm: bool = False) -> dict[str, Any]:
        job = await self.checked(content)
        assert job["state"] == "checked", job
        return await self.apply(job["id"], confirm=confirm)


@pytest.fixture
async def office(settings: Settings, tokens: Tokens, importer: Importer) -> AsyncGenerator[Office]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield Office(client, tokens, importer)


def rows_of(stack: Stack, table: str) -> int:
    with psycopg.connect(stack.admin_url) as connection:
        found = connection.execute(f"SELECT count(*) FROM academic.{table}").fetchone()
    assert found is not None
    return found[0]


def attempts_at(stack: Stack, job_id: str) -> int:
    with psycopg.connect(stack.admin_url) as connection:
        found = connection.execute("SELECT attempt FROM academic.import_job WHERE id = %s", (job_id,)).fetchone()
    assert found is not None
    return found[0]


def counts(diff: dict[str, Any], kind: str) -> tuple[int, int, int, int]:
    return tuple(diff[kind][name] for name in ("new", "changed", "unchanged", "gone"))


async def test_the_real_district_is_counted_before_and_after(office: Office) -> None:
    job = await office.checked(DISTRICT_ZIP.read_bytes())
    applied = await office.apply(job["id"])

    assert job["report"]["totals"] == DISTRICT
    assert counts(job["report"]["diff"], "enrolments") == (4204, 0, 0, 0)
    assert (applied["state"], applied["problem"]) == ("applied", None)
    assert applied["report"]["stored"] == DISTRICT


async def test_a_second_run_changes_nothing(office: Office, stack: Stack) -> None:
    content = district_file()
    await office.applied(content)
    before = rows_of(stack, "outbox")

    again = await office.applied(content)

    diff = again["report"]["diff"]
    assert all((each["new"], each["changed"], each["gone"]) == (0, 0, 0) for each in diff.values()), diff
    assert rows_of(stack, "outbox") == before


async def test_a_check_changes_nothing(office: Office, stack: Stack) -> None:
    before = [rows_of(stack, table) for table in ("student", "school_class", "enrolment", "outbox")]

    job = await office.checked(district_file())

    assert job["state"] == "checked"
    assert [rows_of(stack, table) for table in ("student", "school_class", "enrolment", "outbox")] == before


async def test_a_broken_file_says_where_and_changes_nothing(office: Office, stack: Stack) -> None:
    before = rows_of(stack, "student")
    roster = a_roster()
    roster["enrollments.csv"] += "e,class-0,school-1,nobody,student,,,\n"

    job = await office.checked(district_file(roster))

    assert job["state"] == "rejected"
    assert job["row_errors"][0]["file"] == "enrollments.csv"
    assert job["row_errors"][0]["line"] >= 2
    refused = await office.send("POST", f"/{job['id']}/apply", json={})
    assert refused.status_code == 409
    assert rows_of(stack, "student") == before


async def test_what_is_no_zip_is_rejected(office: Office) -> None:
    job = await office.checked(b"no zip at all")

    assert job["state"] == "rejected"
    assert job["problem"]


async def test_vanished_people_need_a_confirmation(office: Office) -> None:
    roster = a_roster(students=40)
    await office.applied(district_file(roster))
    smaller = district_file(without_rows(roster, "student-", keep=30))

    job = await office.checked(smaller)
    refused = await office.send("POST", f"/{job['id']}/apply", json={})
    applied = await office.apply(job["id"], confirm=True)

    assert job["report"]["vanished"][0]["gone"] == 10
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/too-many-vanished")
    assert applied["state"] == "applied"
    assert counts(applied["report"]["diff"], "students") == (0, 0, 30, 10)


async def test_who_left_is_kept_but_no_longer_active(office: Office, stack: Stack) -> None:
    roster = a_roster(students=40)
    await office.applied(district_file(roster))
    before = rows_of(stack, "student")

    applied = await office.applied(district_file(without_rows(roster, "student-", keep=39)))

    assert counts(applied["report"]["diff"], "students") == (0, 0, 39, 1)
    assert rows_of(stack, "student") == before


async def test_who_left_leaves_the_classes_of_the_office_too(
    office: Office, stack: Stack, client: httpx.AsyncClient, tokens: Tokens
) -> None:
    roster = a_roster(students=40)
    await office.applied(district_file(roster))
    with psycopg.connect(stack.admin_url) as connection:
        found = connection.execute(
            """
            SELECT student.school_id, student.id, academic_session.id
            FROM academic.student
            JOIN academic.academic_session ON academic_session.school_id = student.school_id
            WHERE student.sourced_id = 'student-39' AND academic_session.kind = 'term'
            ORDER BY student.id DESC
            LIMIT 1
            """
        ).fetchone()
    assert found is not None
    school_id, student_id, term_id = found
    headers = tokens.headers(Role.SCHOOL_ADMIN, school_id=school_id)

    async def made(path: str, **body: Any) -> Any:
        answer = await client.post(f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    chess = await made("/classes", title="Chess", periods=["1"], academic_session_ids=[str(term_id)])
    spell = {"class_id": chess["id"], "person_id": str(student_id), "role": "student", "starts_on": "2020-01-01"}
    assert (await made("/enrolments", **spell))["ends_on"] is None

    await office.applied(district_file(without_rows(roster, "student-", keep=39)))

    members = (await client.get(f"/api/v1/enrolments?class_id={chess['id']}", headers=headers)).json()["items"]
    assert [each["ends_on"] is not None for each in members] == [True]


async def test_the_year_group_of_who_comes_and_of_who_leaves_is_told(office: Office, stack: Stack) -> None:
    grade, roster = new_id().hex[-8:], a_roster(students=40)
    roster["users.csv"] = roster["users.csv"].replace(",Ash,,\n", f",Ash,,{grade}\n")
    await office.applied(district_file(roster))

    await office.applied(district_file(without_rows(roster, "student-", keep=39)))

    told = [
        student
        for each in published(stack.database_url("academic"))
        if each.type == event_type(StudentChanged)
        and (student := msgspec.json.decode(each.data, type=StudentChanged)).grade == grade
    ]
    assert [each.is_active for each in told].count(True) == 40
    assert [each.is_active for each in told].count(False) == 1


async def test_the_grades_of_classes_come_from_the_file_and_stay_where_it_names_none(
    office: Office, stack: Stack
) -> None:
    roster, mark = a_roster(students=2), new_id().hex[-8:]
    head, *rows = roster["classes.csv"].splitlines()

    async def applied(*grades: str) -> Any:
        lines = [
            f"{head},grades",
            *(f"{row.replace('Art', mark)},{cell}" for row, cell in zip(rows, grades, strict=True)),
        ]
        return await office.applied(district_file(roster | {"classes.csv": "\n".join(lines) + "\n"}))

    def told() -> dict[str, list[str]]:
        """The grades of each class, as they were told last."""
        found = [
            msgspec.json.decode(each.data, type=ClassChanged)
            for each in published(stack.database_url("academic"))
            if each.type == event_type(ClassChanged)
        ]
        return {each.title: each.grades for each in found if each.title.startswith(mark)}

    await applied('"12,11"', "")
    assert told() == {f"{mark} 0": ["11", "12"], f"{mark} 1": []}

    again = await applied("", "")
    assert told() == {f"{mark} 0": ["11", "12"], f"{mark} 1": []}
    assert again["report"]["diff"]["classes"]["changed"] == 0

    await applied("10", "09")
    assert told() == {f"{mark} 0": ["10"], f"{mark} 1": ["09"]}


async def test_the_class_that_an_enrolment_moves_out_of_is_told_too(office: Office, stack: Stack) -> None:
    """A student's and a teacher's, each under the name that it has in the file; lessons follow as well."""
    roster, mark = a_roster(students=2), new_id().hex[-8:]
    roster["classes.csv"] = roster["classes.csv"].replace("Art", mark)
    rows = roster["enrollments.csv"].splitlines(True)
    roster["enrollments.csv"] = "".join(row for row in rows if not row.startswith("student-0-1,"))
    await office.applied(district_file(roster))

    def told() -> dict[str, tuple[set[UUID], set[UUID], int]]:
        """The students and teachers of each class as they were told last, and the version."""
        return {
            class_.title: (
                {member.person_id for member in class_.members if member.role == "student"},
                {member.person_id for member in class_.members if member.role == "teacher"},
                each.version,
            )
            for each in published(stack.database_url("academic"))
            if each.type == event_type(ClassChanged)
            and (class_ := msgspec.json.decode(each.data, type=ClassChanged)).title.startswith(mark)
        }

    (olds, old_teachers, old_version), (news, new_teachers, new_version) = told()[f"{mark} 0"], told()[f"{mark} 1"]
    (ada,) = olds - news
    moved = roster["enrollments.csv"]
    for person in ("student-0", "teacher-0"):
        moved = moved.replace(f"{person}-0,class-0,", f"{person}-0,class-1,")
    await office.applied(district_file(roster | {"enrollments.csv": moved}))

    assert told() == {
        f"{mark} 0": (olds - {ada}, set(), old_version + 1),
        f"{mark} 1": (news | {ada}, old_teachers | new_teachers, new_version + 1),
    }
    assert teachers_of_lessons(stack, f"{mark} 0") == set()
    assert teachers_of_lessons(stack, f"{mark} 1") == old_teachers | new_teachers


def teachers_of_lessons(stack: Stack, title: str) -> set[UUID]:
    """Who teaches the lessons of a class."""
    asked = """
        SELECT DISTINCT lesson_teacher.teacher_id
        FROM academic.lesson_teacher
        JOIN academic.lesson ON lesson.id = lesson_id
        JOIN academic.school_class ON school_class.id = class_id
        WHERE school_class.title = %s
    """
    with psycopg.connect(stack.admin_url) as connection:
        return {teacher_id for (teacher_id,) in connection.execute(asked, (title,)).fetchall()}


async def test_a_school_that_does_not_answer_is_tried_again(
    office: Office, importer: Importer, school_service: SchoolService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RETRY_S", 0.2)
    job = await office.checked(district_file())
    school_service.is_down = True
    waiting = await office.apply(job["id"])
    school_service.is_down = False

    assert waiting["state"] == "applying"
    await asyncio.sleep(0.3)
    assert await importer.work()
    assert (await office.show(job["id"]))["state"] == "applied"


async def test_a_worker_that_comes_late_undoes_its_own_work(
    office: Office, importer: Importer, database: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await office.checked(district_file())
    before = rows_of(stack, "student")
    end = importing.queries.end

    async def superseded(tx: Any, claimed: Any, *how: Any, **more: Any) -> bool:
        return await end(tx, msgspec.structs.replace(claimed, attempt=claimed.attempt - 1), *how, **more)

    monkeypatch.setattr(importing.queries, "end", superseded)
    still = await office.apply(job["id"])

    assert still["state"] == "applying"
    assert rows_of(stack, "student") == before


@pytest.mark.parametrize("role", [Role.SCHOOL_ADMIN, Role.TEACHER, Role.GUARDIAN, Role.STUDENT])
async def test_only_the_platform_imports(settings: Settings, tokens: Tokens, role: str) -> None:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        answer = await client.post(
            "/api/v1/imports",
            content=b"",
            headers={"Content-Type": "application/zip", **tokens.headers(role, school_id=UUID(int=1))},
        )
        anonymous = await client.get("/api/v1/imports")

    assert (answer.status_code, anonymous.status_code) == (403, 401)


# Roster files that nobody reads any more.


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return objects_of(settings)


@pytest.fixture
def sweeper(settings: Settings, database: Database, objects: Objects) -> Sweeper:
    return Sweeper(database, objects, settings)


class Hands:
    """Of the clock by which files are cleared away; tokens go by the real one."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(sweeping, "clock", hands)
    return hands


async def files(objects: Objects) -> set[str]:
    return {each.key for each in await objects.listed("imports/", after="", limit=500)}


def file_of(job: dict[str, Any]) -> str:
    return f"imports/{job['id']}.zip"


async def test_the_file_of_an_import_goes_a_week_after_it_came_to_rest(
    office: Office, sweeper: Sweeper, objects: Objects, hands: Hands
) -> None:
    jobs = [
        await office.applied(district_file()),
        await office.checked(b"no zip at all"),
        await office.checked(district_file()),
    ]
    names = {file_of(job) for job in jobs}
    states = [job["state"] for job in jobs]

    hands.ahead = timedelta(days=6.9)
    await sweeper.sweep()
    after_six = names & await files(objects)
    hands.ahead = timedelta(days=7.1)
    await sweeper.sweep()
    after_seven = names & await files(objects)
    refused = await office.send("POST", f"/{jobs[-1]['id']}/apply", json={})

    assert states == ["applied", "rejected", "checked"]
    assert (after_six, after_seven) == (names, set())
    assert (refused.status_code, refused.json()["detail"]) == (409, "Its file is no longer kept: upload it again.")
    assert [(await office.show(job["id"]))["state"] for job in jobs] == states


async def test_the_file_of_an_import_that_is_under_way_stays(
    office: Office,
    sweeper: Sweeper,
    objects: Objects,
    hands: Hands,
    school_service: SchoolService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long it takes: it may wait for a worker, or for `school`."""
    monkeypatch.setattr(importing, "RETRY_S", 0.0)
    waits = (await office.checked(district_file()))["id"]
    school_service.is_down = True
    assert (await office.apply(waits))["state"] == "applying"
    unread = (await office.upload(district_file())).json()["id"]

    hands.ahead = timedelta(days=30)
    await sweeper.sweep()
    school_service.is_down = False
    await office.work()

    assert {f"imports/{job_id}.zip" for job_id in (waits, unread)} <= await files(objects)
    assert [(await office.show(job_id))["state"] for job_id in (waits, unread)] == ["applied", "checked"]


async def test_a_file_whose_job_was_never_made_goes_after_a_day_and_what_is_not_ours_stays(
    sweeper: Sweeper, objects: Objects, hands: Hands
) -> None:
    stray, others = f"imports/{new_id()}.zip", f"imports/{new_id()}.csv"
    for key in (stray, others):
        await objects.put(key, b"PK", media_type="application/zip")

    hands.ahead = timedelta(hours=23)
    await sweeper.sweep()
    before = {stray, others} & await files(objects)
    hands.ahead = timedelta(hours=25)
    await sweeper.sweep()

    assert before == {stray, others}
    assert {stray, others} & await files(objects) == {others}


async def test_every_file_is_looked_at_by_several_workers_and_after_one_died(
    sweeper: Sweeper,
    settings: Settings,
    database: Database,
    objects: Objects,
    hands: Hands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 2)
    strays = {f"imports/{new_id()}.zip" for _ in range(7)}
    for key in strays:
        await objects.put(key, b"PK", media_type="application/zip")
    hands.ahead = timedelta(hours=25)
    remove = Objects.remove

    async def dies(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(Objects, "remove", dies)
    with pytest.raises(Unavailable):
        await sweeper.sweep()
    monkeypatch.setattr(Objects, "remove", remove)
    await asyncio.gather(sweeper.sweep(), Sweeper(database, objects, settings).sweep())

    assert strays & await files(objects) == set()


async def applied_during_a_sweep(
    sweeper: Sweeper, office: Office, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """What an office is told that applies an old import while its file is removed, and what becomes of the import."""
    job = await office.checked(district_file())
    remove, answers = Objects.remove, list[httpx.Response]()

    async def remove_late(self: Objects, key: str) -> None:
        if key == file_of(job):
            answers.append(await office.send("POST", f"/{job['id']}/apply", json={}))
        await remove(self, key)

    monkeypatch.setattr(Objects, "remove", remove_late)
    hands.ahead = timedelta(days=8)
    await sweeper.sweep()
    await office.work()
    return answers[0].status_code, (await office.show(job["id"]))["state"]


async def test_an_import_is_not_applied_while_its_file_is_removed(
    sweeper: Sweeper, office: Office, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await applied_during_a_sweep(sweeper, office, hands, monkeypatch) == (409, "checked")


async def test_control_who_only_looks_at_the_state_takes_the_file_from_an_import(
    sweeper: Sweeper, office: Office, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(queries, "give_up_files", nothing)
    looks = queries.JOB_FILES.replace("file_removed_at IS NULL AS", "state IN ('checking', 'applying') AS")
    monkeypatch.setattr(queries, "JOB_FILES", looks)

    assert await applied_during_a_sweep(sweeper, office, hands, monkeypatch) == (202, "applying")


async def test_another_kind_of_file_is_refused(office: Office) -> None:
    answer = await office.send("POST", "", content=b"a,b", headers={"Content-Type": "text/csv"})

    assert answer.status_code == 415


async def test_a_file_over_the_limit_is_refused(office: Office) -> None:
    answer = await office.upload(b"0" * (25 * 1024 * 1024 + 1))

    assert answer.status_code == 413


async def test_an_upload_with_a_key_is_stored_and_checked_once(
    settings: Settings, tokens: Tokens, importer: Importer, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And while the file is on its way to the store, the only connection is free for others."""
    stored: list[str] = []
    put = Objects.put
    async with client_of(create_app(msgspec.structs.replace(settings, database_pool_max=1), tokens.verifier)) as client:
        office = Office(client, tokens, importer)
        headers = {"Content-Type": "application/zip", "Idempotency-Key": "upload"}

        async def put_slowly(self: Objects, key: str, content: bytes, *, media_type: str) -> None:
            assert (await office.send("GET", "")).status_code == 200
            await put(self, key, content, media_type=media_type)
            stored.append(key)

        monkeypatch.setattr(Objects, "put", put_slowly)
        before = rows_of(stack, "import_job")
        uploads = (office.send("POST", "", content=b"PK", headers=headers) for _ in range(5))
        answers = await asyncio.gather(*uploads)
        other = await office.send("POST", "", content=b"PK other", headers=headers)

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len(stored) == 1
    assert rows_of(stack, "import_job") == before + 1
    assert other.status_code == 422


async def test_events_of_the_same_schools_do_not_hold_an_import_up(
    office: Office,
    settings: Settings,
    school_service: SchoolService,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reactions wait for the import's transaction on every connection of the worker; the import must go on."""
    job = await office.checked(district_file())
    answer = await office.send("POST", f"/{job['id']}/apply", json={})
    assert answer.status_code == 202, answer.text
    monkeypatch.setattr(academic_worker, "InternalClient", lambda *_, **__: school_service)
    pool = msgspec.structs.replace(settings, database_pool_max=settings.worker_pool_max)
    async with Database(pool) as database:
        worker = academic_worker.create_worker(settings, database)

        async def tell() -> None:
            school = (await school_service.answered()).schools[0].school
            reactions = (
                deliver(worker, school, school_id=school.school_id, version=version) for version in (2, 3, 4, 5)
            )
            await asyncio.gather(*reactions)

        running, telling = asyncio.create_task(worker.run()), asyncio.create_task(tell())
        async with asyncio.timeout(15):
            while (await office.show(job["id"]))["state"] != "applied":
                await asyncio.sleep(0.05)
            await telling
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    assert attempts_at(stack, job["id"]) == 1


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A class that an import gives another room, and its latest lesson that has begun."""

    job_id: str
    """Of the import, which is checked and not applied yet."""
    rooms: tuple[str, str]
    """Before and after."""
    school_id: UUID
    lesson_id: UUID
    teacher_id: UUID
    day: date

    def of_lessons(self, stack: Stack, column: str, condition: str) -> set[Any]:
        """What stands in the class's lessons that meet a condition."""
        asked = f"""
            SELECT {column}
            FROM academic.lesson
            LEFT JOIN academic.register ON register.lesson_id = lesson.id
            WHERE lesson.school_id = %s AND lesson.period = '1' AND {condition}
        """
        with psycopg.connect(stack.admin_url) as connection:
            return {value for (value,) in connection.execute(asked, (self.school_id,)).fetchall()}


@pytest.fixture
async def moved(office: Office, stack: Stack) -> Moved:
    """The school is there for three weeks, has taken no register, and is all of the ninth grade."""
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=10), today + timedelta(days=10)
    roster, rooms = a_roster(students=2), (str(new_id()), str(new_id()))
    roster["academicSessions.csv"] = (
        "sourcedId,title,type,startDate,endDate,parentSourcedId,schoolYear\n"
        f"year,2026/27,schoolYear,{first},{last},,2027\nterm,Autumn,term,{first},{last},year,2027\n"
    )
    roster["users.csv"] = roster["users.csv"].replace(",Ash,,\n", ",Ash,,09\n")
    place = "Art 0,course,scheduled,"
    before, after = (roster["classes.csv"].replace(place, f"{place}{room}") for room in rooms)
    await office.applied(district_file(roster | {"classes.csv": before}))
    job = await office.checked(district_file(roster | {"classes.csv": after}))
    asked = """
        SELECT lesson.school_id, lesson.id, lesson_teacher.teacher_id, lesson.day
        FROM academic.lesson
        JOIN academic.lesson_teacher ON lesson_teacher.lesson_id = lesson.id
        WHERE lesson.room = %s AND lesson.day <= %s
        ORDER BY lesson.day DESC
        LIMIT 1
    """
    with psycopg.connect(stack.admin_url) as connection:
        found = connection.execute(asked, (rooms[0], today)).fetchone()
    assert found is not None
    school_id, lesson_id, teacher_id, day = found
    return Moved(
        job_id=job["id"], rooms=rooms, school_id=school_id, lesson_id=lesson_id, teacher_id=teacher_id, day=day
    )


@pytest.fixture
def beside_a_first_register(
    moved: Moved,
    office: Office,
    client: httpx.AsyncClient,
    tokens: Tokens,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Any, str], Awaitable[None]]:
    """Applies the import when a teacher's first save has done so much of its work."""
    headers = tokens.headers(Role.TEACHER, school_id=moved.school_id, person_id=moved.teacher_id)

    async def save() -> None:
        body = {"version": 0, "marks": [], "default_code": "A"}
        answer = await client.put(f"/api/v1/lessons/{moved.lesson_id}/register", json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def apply() -> None:
        job = await office.apply(moved.job_id)
        assert (job["state"], job["problem"]) == ("applied", None)

    return partial(one_held_up_by_the_other, stack, monkeypatch, first=save, second=apply)


async def test_an_import_keeps_a_lesson_whose_first_register_is_being_saved(
    moved: Moved, beside_a_first_register: Callable[[Any, str], Awaitable[None]], stack: Stack
) -> None:
    await beside_a_first_register(attendance, "derive_days")

    begun, to_come = f"lesson.day <= '{moved.day}'", "lesson.day > (now() AT TIME ZONE 'UTC')::date"
    assert moved.of_lessons(stack, "lesson.id", "register.version = 1") == {moved.lesson_id}
    assert moved.of_lessons(stack, "lesson.room", begun) == {moved.rooms[0]}
    assert moved.of_lessons(stack, "lesson.room", to_come) == {moved.rooms[1]}


async def test_an_import_that_brings_a_trip_and_a_first_register_do_not_wait_in_a_circle(
    moved: Moved,
    beside_a_first_register: Callable[[Any, str], Awaitable[None]],
    school_service: SchoolService,
    stack: Stack,
) -> None:
    """The register has its lesson in hand, and the days of its students still before it."""
    school_service.trips = [GradeDay(day=moved.day, grades=["09"], kind="holiday", title="Zoo")]

    await beside_a_first_register(attendance_queries, "save_register")

    assert moved.of_lessons(stack, "lesson.id", "register.version = 1") == {moved.lesson_id}
    with psycopg.connect(stack.admin_url) as connection:
        days = connection.execute(
            "SELECT day, status FROM academic.attendance_day WHERE school_id = %s", (moved.school_id,)
        ).fetchall()
    assert days == [(moved.day, "excused")] * 2
