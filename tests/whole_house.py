"""The five services in one process, with the events carried between them by hand, and schools that fill them all."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.academic.day_plans.actions import look_at_next_school
from services.auth.kit import Kit
from services.communication.announcements.sending import send_due
from services.communication.files.store import FileStore
from services.communication.tests.files import pdf
from services.notification.alerts.actions import release_due
from services.notification.alerts.telling import Teller
from services.notification.inbox.live import Announcer
from services.notification.tests.factories import MAKE_ALERT_DUE, MAKE_DUE, announcement, guardian, somebody
from services.school.tests.factories import roster, term, year
from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import AbsenceReportChanged, RegisterMissing
from shared.contracts.auth import InviteIssued
from shared.contracts.envelope import Envelope, event_type
from shared.contracts.roster import RosterUpserted
from shared.database import Database
from shared.identity import Role, Verifier
from shared.ids import new_id
from shared.objects import Objects
from shared.seal import Seal
from shared.testing.bus import deliver
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.web.app import litestar_of
from shared.worker import Worker
from tests.operations import Operation, operations_of
from tools.topology import SERVICE_NAMES

TIME_ZONE = "America/New_York"
PASSWORD = "correct horse battery"
UPLOADED = pdf(1000)
"""What lies at every key of the bucket that is asked for."""
SCHOOL_ROLES = (Role.SCHOOL_ADMIN, Role.TEACHER, Role.STUDENT, Role.GUARDIAN)
OVERRIDES: Mapping[str, Mapping[str, object]] = {
    "auth": {"client_ip_header": "x-client-ip", "attempts_per_account": 1_000_000, "log_level": "INFO"},
    "school": {"default_time_zone": TIME_ZONE, "log_level": "INFO"},
}


class Service:
    """One service of the house: asked through `client`, told through `worker`."""

    def __init__(self, name: str, app: Any, client: httpx.AsyncClient, worker: Worker) -> None:
        self.name, self.app, self.client, self.worker = name, app, client, worker
        self.operations = operations_of(name, litestar_of(app))


class House:
    """All services. One address per request, so that nobody is throttled for what others do."""

    def __init__(self, stack: Stack, tokens: Tokens, services: Mapping[str, Service]) -> None:
        self.stack, self.tokens, self.services = stack, tokens, services
        self._carried: set[UUID] = set()
        self._told: dict[UUID, tuple[bytes, Envelope]] = {}
        """What was read of the outboxes so far, by the id of the row: they grow with every school."""

    @property
    def operations(self) -> list[Operation]:
        return [operation for service in self.services.values() for operation in service.operations]

    async def send(self, service: str, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {"x-client-ip": str(new_id())} | how.pop("headers", {})
        return await self.services[service].client.request(method, path, headers=headers, **how)

    async def carry_events(self, *school_ids: UUID) -> None:
        """Hand every event of these schools to all who listen, until nobody has anything new to tell."""
        while fresh := self._uncarried(school_ids):
            for payload, envelope in fresh:
                for service in self.services.values():
                    if envelope.type in service.worker.event_types:
                        assert await service.worker.handle(payload) is Outcome.DONE, envelope.type
                self._carried.add(envelope.id)

    def _uncarried(self, school_ids: tuple[UUID, ...]) -> list[tuple[bytes, Envelope]]:
        found = [each for service in self.services for each in self._outbox(service)]
        return [each for each in found if each[1].schoolid in school_ids and each[1].id not in self._carried]

    def told(self, event: type[msgspec.Struct], service: str, school_id: UUID) -> list[Any]:
        envelopes = [envelope for _, envelope in self._outbox(service)]
        wanted = [each for each in envelopes if each.schoolid == school_id and each.type == event_type(event)]
        return [msgspec.json.decode(each.data, type=event) for each in wanted]

    def _outbox(self, service: str) -> list[tuple[bytes, Envelope]]:
        """All that a service has told, oldest first."""
        with psycopg.connect(self.stack.database_url(service)) as connection:
            ids = [row_id for (row_id,) in connection.execute("SELECT id FROM outbox ORDER BY created_at, id")]
            new = [row_id for row_id in ids if row_id not in self._told]
            for row_id, payload in connection.execute("SELECT id, payload FROM outbox WHERE id = ANY(%s)", [new]):
                self._told[row_id] = payload, msgspec.json.decode(payload, type=Envelope)
        return [self._told[row_id] for row_id in ids]


@asynccontextmanager
async def open_house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    """Every service of the stack, started; files go into memory instead of S3."""
    clients: dict[str, httpx.AsyncClient] = {}

    async def keys() -> Mapping[str, Any]:
        own = (await clients["auth"].get("/.well-known/jwks.json")).json()["keys"]
        return {"keys": [*own, *(await tokens.keys())["keys"]]}

    verifier = Verifier(keys)
    async with AsyncExitStack() as opened:
        opened.enter_context(_files_in_memory())
        services: dict[str, Service] = {}
        for name in SERVICE_NAMES:
            services[name] = await opened.enter_async_context(_service(name, stack, verifier))
            clients[name] = services[name].client
        await verifier.verify(tokens.token(Role.TEACHER))  # the keys are there before anybody asks
        yield House(stack, tokens, services)


@asynccontextmanager
async def _service(name: str, stack: Stack, verifier: Verifier) -> AsyncGenerator[Service]:
    settings_type = import_module(f"services.{name}.settings").Settings
    settings = stack.settings(settings_type, name, **OVERRIDES.get(name, {"log_level": "INFO"}))
    app = import_module(f"services.{name}.app").create_app(settings, verifier)
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(Database(settings))
        parts: list[Any] = []
        if name == "auth":
            parts = [Kit(settings)]
            opened.push_async_callback(parts[0].close)
        if name == "notification":
            parts = [Announcer(settings.redis_url)]
            opened.push_async_callback(parts[0].close)
        worker: Worker = import_module(f"services.{name}.worker").create_worker(settings, database, *parts)
        await opened.enter_async_context(worker.opened())
        await opened.enter_async_context(client_of(app))
        transport = httpx.ASGITransport(app=HangsUp(app), raise_app_exceptions=False)  # pyright: ignore[reportArgumentType]
        client = httpx.AsyncClient(transport=transport, base_url="http://service.test", timeout=60)
        yield Service(name, app, await opened.enter_async_context(client), worker)


@contextmanager
def _files_in_memory() -> Generator[None]:
    files: dict[str, bytes] = {}

    async def put(_: Objects, key: str, content: bytes, *, media_type: str) -> None:
        files[key] = content

    async def size_of(*_: object) -> int:
        return len(UPLOADED)

    async def copy(*_: object, **__: object) -> bool:
        return True

    async def read(_: FileStore, _key: str, *, first: int, count: int) -> bytes:
        return UPLOADED[first : first + count]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Objects, "put", put)
        for fake in (size_of, copy, read):
            patched.setattr(FileStore, fake.__name__, fake)
        yield


class HangsUp:
    """Leaves an endless stream as a reader does who has read enough: after the first count of what is unread."""

    ENOUGH = b"unread_count"

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        enough, finished = asyncio.Event(), False

        async def watched(message: Message) -> None:
            nonlocal finished
            if message["type"] == "http.response.body":
                finished = not message.get("more_body", False)
                if self.ENOUGH in message.get("body", b"") and not finished:
                    enough.set()
            await send(message)

        async def until_enough() -> Any:
            told, read = asyncio.ensure_future(receive()), asyncio.ensure_future(enough.wait())
            await asyncio.wait({told, read}, return_when=asyncio.FIRST_COMPLETED)
            read.cancel()
            if told.done():
                return told.result()
            told.cancel()
            return {"type": "http.disconnect"}

        await self._app(scope, until_enough, watched)
        if enough.is_set() and not finished:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Login(msgspec.Struct, frozen=True, kw_only=True):
    email: str
    user_id: UUID
    person_id: UUID | None
    membership_id: UUID


class FilledSchool:
    """One school with something in every table, every text of it holding `mark`; made through the front doors."""

    def __init__(self, house: House, mark: str) -> None:
        self.house, self.mark = house, mark
        self.school_id = UUID(int=0)
        self.ids: dict[str, str] = {}
        self.every_id: set[str] = set()
        self.logins: dict[str, Login] = {}
        self.today = clock.school_day(clock.now(), TIME_ZONE)

    def token(self, role: str, **claims: object) -> str:
        login = self.logins.get(role)
        return self.house.tokens.token(
            role,
            school_id=self.school_id,
            user_id=login.user_id if login else None,
            person_id=login.person_id if login else None,
            **claims,
        )

    async def signed_in(self, service: str, role: str) -> dict[str, str]:
        """The headers of who has just signed in; only auth looks whether there is such a session."""
        if service == "auth" and role in self.logins:
            return {"Authorization": f"Bearer {(await self.session(role))['access_token']}"}
        school_id = None if role == Role.PLATFORM_ADMIN else self.school_id
        return {"Authorization": f"Bearer {self.token(role, school=str(school_id) if school_id else None)}"}

    async def session(self, role: str) -> dict[str, Any]:
        """A session of its own, as auth opens it."""
        body = {"email": self.logins[role].email, "password": PASSWORD}
        answer = await self.house.send("auth", "POST", "/api/v1/auth/sign-in", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, service: str, method: str, path: str, role: str = Role.SCHOOL_ADMIN, **how: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token(role)}"} | how.pop("headers", {})
        answer = await self.house.send(service, method, f"/api/v1{path}", headers=headers, **how)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        return await self.ask("academic", "POST", path, json=body)

    async def fill(self) -> "FilledSchool":
        await self._found()
        await self._carry()
        await self._people()
        await self._classes()
        self._rows_that_only_imports_make()
        await self._carry()
        await self._logins()
        await self._carry()
        await self._absence()
        await self._reports()
        await self._carry()
        await self._alerts()
        await self._files()
        await self._announcements()
        await self._carry()
        await self._remember()
        return self

    async def _carry(self) -> None:
        while await look_at_next_school(self.house.services["academic"].worker.database):
            pass
        await self.house.carry_events(self.school_id)

    async def _found(self) -> None:
        span = {"starts_on": str(self.today - timedelta(days=20)), "ends_on": str(self.today + timedelta(days=20))}
        sessions = (year(title=f"Year {self.mark}", **span), term(title=f"Term {self.mark}", **span))
        upsert = roster(f"School {self.mark}", sessions=sessions)
        district = msgspec.structs.replace(upsert.district, name=f"District {self.mark}")
        content = msgspec.json.encode(msgspec.structs.replace(upsert, district=district))
        headers = self.house.tokens.service_headers("academic")
        answer = await self.house.send("school", "PUT", "/internal/roster", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        saved = msgspec.json.decode(answer.content, type=RosterUpserted)
        self.school_id = saved.schools[0].school.school_id
        self.ids["school_id"] = str(self.school_id)
        self.ids["district_id"] = str(saved.schools[0].school.district_id)
        bells = [
            {
                "weekday": day,
                "period": str(number),
                "starts_at": f"{7 + number:02}:00:00",
                "ends_at": f"{7 + number:02}:45:00",
            }
            for day in range(1, 8)
            for number in range(1, 4)
        ]
        await self.ask("school", "PUT", "/bell-schedules", json={"periods": bells})
        await self.ask("school", "PATCH", "/school", json={"version": 1, **self._brand()})
        rotation = {"kind": "weeks", "starts_on": str(self.today), "turns": self._turns()}
        await self.ask("school", "PUT", "/rotation", json=rotation)
        for name in (f"Room {self.mark}", f"Hall {self.mark}"):
            self.ids["room_id"] = (await self.ask("school", "POST", "/rooms", json={"name": name}))["room_id"]
        late = {"period": "1", "starts_at": "10:00:00", "ends_at": "10:45:00"}
        special = {"kind": "special", "title": f"Late {self.mark}", "periods": [late]}
        for days in (3, 4):
            day = str(self.today + timedelta(days=days))
            holiday = {"kind": "holiday", "title": f"Day {self.mark}"}
            await self.ask("school", "PUT", f"/calendar-days/{day}", json=holiday)
            trips = [{**holiday, "grades": [f"{grade} {self.mark}"]} for grade in (11, 12)]
            exam = {**special, "grades": [f"13 {self.mark}"]}
            await self.ask("school", "PUT", f"/grade-days/{day}", json={"grade_days": [*trips, exam]})
        await self.ask("school", "PUT", f"/calendar-days/{self.today + timedelta(days=5)}", json=special)
        for each in (await self.ask("school", "GET", "/academic-sessions"))["items"]:
            self.ids[{"school_year": "parent_id", "term": "academic_session_ids"}[each["kind"]]] = each[
                "academic_session_id"
            ]
            if each["kind"] == "term":
                self._dates = {name: each[name] for name in ("starts_on", "ends_on")}
        self.ids["academic_session_id"] = self.ids["academic_session_ids"]

    def _turns(self) -> list[dict[str, Any]]:
        return [{"name": f"{turn} {self.mark}", "periods": []} for turn in "AB"]

    def _brand(self) -> dict[str, str]:
        return {"brand_colour": "#1a4f8b", "logo_url": f"https://cdn.test/{self.mark}.svg"}

    def email(self, name: str) -> str:
        return f"{name}.{self.mark}@home.test"

    def person(self, name: str) -> dict[str, str]:
        return {
            "given_name": f"{name} {self.mark}",
            "family_name": f"Family {self.mark}",
            "email": self.email(name.lower()),
        }

    async def _people(self) -> None:
        self.ids["student_id"] = (
            await self.made(
                "/students",
                **self.person("Ada"),
                preferred_name=f"Addie {self.mark}",
                grade=f"G {self.mark}",
                birth_date="2015-05-05",
            )
        )["id"]
        self.ids["other_student_id"] = (await self.made("/students", **self.person("Ben")))["id"]
        self.ids["teacher_id"] = (await self.made("/teachers", **self.person("Tess")))["id"]
        self.ids["other_teacher_id"] = (await self.made("/teachers", **self.person("Tom")))["id"]
        self.ids["other_guardian_id"] = (await self.made("/guardians", **self.person("Gus")))["id"]
        self.ids["guardian_id"] = (await self.made("/guardians", **self.person("Gil"), phone="+1 555 0100"))["id"]
        unreached = await self.made("/guardians", given_name=f"Gwen {self.mark}", family_name=f"Family {self.mark}")
        for student in ("student_id", "other_student_id"):
            aunt = {"guardian_id": unreached["id"], "student_id": self.ids[student], "relation": f"aunt {self.mark}"}
            await self.made("/guardian-links", **aunt)
            link = await self.made(
                "/guardian-links",
                guardian_id=self.ids["guardian_id"],
                student_id=self.ids[student],
                relation=f"mother {self.mark}",
            )
            self.ids["link_id"] = link["id"]

    async def _classes(self) -> None:
        """The second class wants the same teacher at the same time: a clash."""
        for name in ("class_id", "other_class_id"):
            made = await self.made(
                "/classes",
                title=f"Class {name} {self.mark}",
                periods=["1"],
                room=f"Room {self.mark}",
                academic_session_ids=[self.ids["academic_session_ids"]],
                grades=[f"12 {self.mark}"],
            )
            self.ids[name] = made["id"]
        starts_on = str(self.today - timedelta(days=10))
        for role, person in (("teacher", "teacher_id"), ("student", "student_id"), ("student", "other_student_id")):
            made = await self.made(
                "/enrolments",
                class_id=self.ids["class_id"],
                person_id=self.ids[person],
                role=role,
                starts_on=starts_on,
            )
            self.ids["enrolment_id"] = made["id"]
        self.ids["person_id"] = self.ids["person_ids"] = self.ids["other_teacher_id"]
        lessons = await self.ask("academic", "GET", f"/lessons?day={self.today}")
        self.ids["lesson_id"] = next(
            each["id"] for each in lessons["items"] if each["class_id"] == self.ids["class_id"]
        )
        await self.ask(
            "academic",
            "PUT",
            "/attendance-codes/X",
            json={"title": f"Code {self.mark}", "kind": "absent", "is_alerting": True, "statutory_code": self.mark},
        )

    def _rows_that_only_imports_make(self) -> None:
        add_course = "INSERT INTO academic.course (school_id, id, sourced_id, title, code) VALUES (%s, %s, %s, %s, %s)"
        name_student = "UPDATE academic.student SET sourced_id = %s WHERE school_id = %s AND id = %s"
        with psycopg.connect(self.house.stack.admin_url, autocommit=True) as connection:
            for name in ("other_course_id", "course_id"):
                self.ids[name] = str(new_id())
                told = (f"{name} {self.mark}", f"Course {self.mark}", self.mark)
                connection.execute(add_course, (self.school_id, self.ids[name], *told))
            self.ids["student_sourced_id"] = f"student {self.mark}"
            sourced_id = self.ids["student_sourced_id"]
            connection.execute(name_student, (sourced_id, self.school_id, self.ids["student_id"]))

    async def _logins(self) -> None:
        body = {"school_id": str(self.school_id), "email": self.email("office"), "name": f"Office {self.mark}"}
        headers = self.house.tokens.headers(Role.PLATFORM_ADMIN)
        answer = await self.house.send("auth", "POST", "/api/v1/admin-invites", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        people = {Role.TEACHER: "teacher_id", Role.GUARDIAN: "guardian_id", Role.STUDENT: "student_id"}
        for role, person in people.items():
            body = {"role": role, "person_ids": [self.ids[person]]}
            assert (await self.ask("auth", "POST", "/invites", json=body))["issued"] == 1
        seal = Seal(self.house.stack.service_env("auth")["SEAL_KEY"])
        for invite in self.house.told(InviteIssued, "auth", self.school_id):
            await self._accept(invite.email, seal.open(invite.sealed_code))
        open_invite = {"role": Role.TEACHER, "person_ids": [self.ids["other_teacher_id"]]}
        assert (await self.ask("auth", "POST", "/invites", json=open_invite))["issued"] == 1
        invites = (await self.ask("auth", "GET", "/invites?state=pending"))["items"]
        self.ids["invite_id"] = invites[0]["id"]

    async def _accept(self, email: str, code: str) -> None:
        body = {"code": code, "password": PASSWORD}
        answer = await self.house.send("auth", "POST", "/api/v1/auth/invites/accept", json=body)
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        me = (await self.house.send("auth", "GET", "/api/v1/auth/me", headers=headers)).json()
        self.logins[me["role"]] = Login(
            email=email,
            user_id=UUID(me["user_id"]),
            person_id=UUID(me["person_id"]) if me["person_id"] else None,
            membership_id=UUID(me["membership_id"]),
        )
        if me["role"] == Role.SCHOOL_ADMIN:
            self.ids["membership_id"] = me["membership_id"]

    async def _absence(self) -> None:
        register = {"version": 0, "marks": [], "default_code": "X"}
        path = f"/lessons/{self.ids['lesson_id']}/register"
        await self.ask("academic", "PUT", path, Role.TEACHER, json=register)
        mark = {"student_id": self.ids["student_id"], "code": "A"}
        changed = {"version": 1, "marks": [mark], "reason": f"Reason {self.mark}"}
        await self.ask("academic", "PUT", path, Role.TEACHER, json=changed)

    async def _reports(self) -> None:
        """Leave that the guardian asks for, once to be decided on and once to be withdrawn: it explains nothing yet."""
        for name in ("absence_report_id", "own_report_id"):
            body = {
                "student_id": self.ids["student_id"],
                "kind": "leave",
                "starts_on": str(self.today + timedelta(days=1)),
                "ends_on": str(self.today + timedelta(days=2)),
                "reason": f"Reason {self.mark}",
            }
            made = await self.ask("academic", "POST", "/absence-reports", Role.GUARDIAN, json=body)
            self.ids[name] = made["id"]

    async def _alerts(self) -> None:
        """The grace period is over, and the guardian hears of it."""
        worker = self.house.services["notification"].worker
        settings = self.house.stack.settings(import_module("services.notification.settings").Settings, "notification")
        async with worker.database.transaction(school_id=self.school_id) as tx:
            await tx.execute(MAKE_DUE, now=clock.now(), school_id=self.school_id)
            await tx.execute(MAKE_ALERT_DUE, now=clock.now(), school_id=self.school_id)
        announcer = Announcer(settings.redis_url)
        while await release_due(worker.database, Teller(announcer, settings.public_url), settings):
            pass
        await announcer.close()
        inbox = await self.ask("notification", "GET", "/inbox", Role.GUARDIAN)
        self.ids["notification_id"] = self.ids["last-event-id"] = inbox["items"][0]["notification_id"]
        deliveries = await self.ask("notification", "GET", "/deliveries")
        self.ids["delivery_id"] = deliveries["items"][0]["delivery_id"]
        await self._notices(worker)

    async def _notices(self, worker: Worker) -> None:
        """Everybody wants announcements once a day, and there is one; the school insists on absences."""
        digest = {"group": "announcements", "channel": "email", "frequency": "daily_digest"}
        quiet = {"starts_at": "21:00:00", "ends_at": "07:00:00", "days": [1]}
        for role in SCHOOL_ROLES:
            body = {"time_zone": TIME_ZONE, "quiet_hours": quiet, "choices": [digest]}
            await self.ask("notification", "PUT", "/notification-preferences", role, json=body)
        policy = await self.ask("notification", "GET", "/notification-policy")
        await self.ask("notification", "PUT", "/notification-policy", json=policy)
        people = [
            guardian(UUID(self.ids["guardian_id"]), UUID(self.ids["student_id"])),
            somebody(UUID(self.ids["teacher_id"])),
        ]
        told = announcement(new_id(), *people, title=f"Title {self.mark}", body=f"Body {self.mark}")
        assert await deliver(worker, told, school_id=self.school_id) is Outcome.DONE
        await self._missing_registers(worker)
        for _ in range(2):
            report = AbsenceReportChanged(
                absence_report_id=new_id(),
                student_id=UUID(self.ids["student_id"]),
                kind="leave",
                starts_on=self.today,
                ends_on=self.today,
                state="pending",
                changed_by=new_id(),
            )
            assert await deliver(worker, report, school_id=self.school_id) is Outcome.DONE

    async def _missing_registers(self, worker: Worker) -> None:
        """The teacher is reminded of two lessons whose time has come."""
        for _ in range(2):
            missing = RegisterMissing(
                lesson_id=new_id(),
                class_id=UUID(self.ids["class_id"]),
                class_title=f"Class {self.mark}",
                day=self.today,
                starts_at=clock.now(),
                ends_at=clock.now(),
                step="teacher",
                teacher_ids=[UUID(self.ids["teacher_id"])],
            )
            assert await deliver(worker, missing, school_id=self.school_id) is Outcome.DONE

    async def _files(self) -> None:
        for name in ("Map", "Plan", "List"):
            body = {"name": f"{name} {self.mark}", "size_bytes": len(UPLOADED), "media_type": "application/pdf"}
            made = await self.ask("communication", "POST", "/files", json=body)
            self.ids["ready_file_id"] = self.ids.get("file_id", "")
            self.ids["file_id"] = made["file"]["id"]
        await self.ask("communication", "POST", f"/files/{self.ids['ready_file_id']}/complete")

    async def _announcements(self) -> None:
        """Two to everybody, sent and read; and one for each operation that is for what was not sent yet."""
        include = [{"kind": "role", "role": role} for role in ("guardian", "student", "staff")]
        own = [{"kind": "class", "class_id": self.ids["class_id"], "who": ["guardian", "student", "teacher"]}]
        await self._announced("Term", include)
        await self._announced("Trip", own, Role.TEACHER)
        await self._announced("Own trip", own, Role.TEACHER)
        self.ids["announcement_id"] = await self._announced("Snow", include)
        for role in (Role.GUARDIAN, Role.STUDENT, Role.TEACHER):
            await self.ask("communication", "POST", f"/announcements/{self.ids['announcement_id']}/read", role)
        self.ids["exclude"] = self.ids["other_student_id"]
        self.ids["file_ids"] = self.ids["show_announcement_file.file_id"] = self.ids["ready_file_id"]
        for name in ("edit_announcement", "send_announcement", "call_back_announcement", "withdraw_announcement"):
            self.ids[f"{name}.announcement_id"] = (await self._written(name, include))["announcement_id"]
        waiting = f"/announcements/{self.ids['call_back_announcement.announcement_id']}/send"
        at = f"{self.today + timedelta(days=30)}T12:00:00"
        await self.ask("communication", "POST", waiting, json={"version": 1, "at": at})

    async def _written(self, told: str, include: Any, role: str = Role.SCHOOL_ADMIN) -> dict[str, Any]:
        files = [self.ids["ready_file_id"]] if role == Role.SCHOOL_ADMIN else []
        text = {"title": f"{told} {self.mark}", "body": f"Body {self.mark}", "file_ids": files}
        body = {**text, "audience": {"include": include}}
        return await self.ask("communication", "POST", "/announcements", role, json=body)

    async def _announced(self, told: str, include: Any, role: str = Role.SCHOOL_ADMIN) -> str:
        made = await self._written(told, include, role)
        path = f"/announcements/{made['announcement_id']}/send"
        await self.ask("communication", "POST", path, role, json={"version": made["version"]})
        while await send_due(self.house.services["communication"].worker.database):
            pass
        return made["announcement_id"]

    async def _remember(self) -> None:
        headers = self.house.tokens.headers(Role.PLATFORM_ADMIN) | {"Content-Type": "application/zip"}
        for _ in range(2):
            answer = await self.house.send("academic", "POST", "/api/v1/imports", content=b"PK", headers=headers)
            assert answer.status_code == 202, answer.text
            self.ids["job_id"] = answer.json()["id"]
        self.every_id = {value for name, value in self.ids.items() if name.endswith(("_id", "_ids"))}
        self.every_id |= {str(login.user_id) for login in self.logins.values()}

    def values(self) -> dict[str, Any]:
        """What honest requests are made of: ids by the name of the field, and what single operations need besides."""
        person, day = self.ids["other_student_id"], self.today + timedelta(days=1)
        session = {"kind": "grading_period", "starts_on": str(day), "ends_on": str(day + timedelta(days=5))}
        tomorrow = f"{day}T12:00:00Z"
        until = {"pinned_until": tomorrow, "expires_at": tomorrow}
        own: dict[str, dict[str, Any]] = {
            "enrol": {"role": "teacher"},
            "add_academic_session": session,
            "correct_academic_session": self._dates,
            "add_guardian_link": {"guardian_id": self.ids["other_guardian_id"]},
            "change_class": {"class_id": self.ids["other_class_id"]},
            "take_register": {"marks": [{"student_id": person, "code": "L", "minutes_late": 5}]},
            "save_attendance_code": {"code": "QA1", "kind": "excused"},
            "change_school": {"register_escalation_minutes": 30, "locale": "de-DE", **self._brand()},
            "withdraw_absence_report": {"absence_report_id": self.ids["own_report_id"]},
            "save_roster": self._upsert(),
            "show_snapshot": {"kind": "students"},
            "show_announcement_snapshot": {"kind": "announcements"},
            "save_notification_policy": {"at_least_daily": []},
            "send_announcement": {"at": None},
            "call_back_announcement": {"version": 2},
            "save_calendar_day": {"periods": None, "opens_at": None, "closes_at": None},
            "save_grade_days": {"periods": None, "opens_at": None, "closes_at": None},
            "save_rotation": {"weekdays": [1, 2, 3, 4, 5], "turns": self._turns()},
            "add_announcement": until,
            "edit_announcement": until,
        }
        told = {f"{operation}.{name}": value for operation, each in own.items() for name, value in each.items()}
        return {**self.ids, "day": str(self.today), **told}

    def _upsert(self) -> dict[str, Any]:
        upsert: dict[str, Any] = msgspec.to_builtins(roster("A school", "Another"))
        return upsert
