"""A school as it comes about in life: told of by events, filled over HTTP."""

from datetime import date, time, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from shared import clock
from shared.bus import Outcome
from shared.contracts.school import AcademicSession, BellPeriod, CalendarChanged, CalendarDay, GradeDay, SchoolChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.testing.tokens import Tokens
from shared.worker import Worker

TIME_ZONE = "America/New_York"
PERIODS = {"1": (time(8), time(8, 45)), "2": (time(9), time(9, 45)), "3": (time(10), time(10, 45))}
TODAY = clock.school_day(clock.now(), TIME_ZONE)


class School(msgspec.Struct, frozen=True, kw_only=True):
    """One school and the means of its people: `post(role, path, body)` and so on."""

    id: UUID
    term_id: UUID
    client: httpx.AsyncClient
    tokens: Tokens
    worker: Worker

    async def send(
        self, method: str, path: str, *, role: str = Role.SCHOOL_ADMIN, person_id: UUID | None = None, **how: Any
    ) -> httpx.Response:
        headers = self.tokens.headers(role, school_id=self.id, person_id=person_id) | how.pop("headers", {})
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **how)

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        """What the office made by a POST."""
        answer = await self.send("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def a_student(self, given_name: str = "Ada", **more: Any) -> UUID:
        return UUID((await self.made("/students", given_name=given_name, **more))["id"])

    async def a_teacher(self, given_name: str = "Tess") -> UUID:
        return UUID((await self.made("/teachers", given_name=given_name))["id"])

    async def a_guardian_of(self, *student_ids: UUID, given_name: str = "Gil", **terms: Any) -> UUID:
        guardian = await self.made("/guardians", given_name=given_name, email=f"{new_id()}@example.org")
        for student_id in student_ids:
            await self.made(
                "/guardian-links",
                guardian_id=guardian["id"],
                student_id=str(student_id),
                **{"relation": "parent", **terms},
            )
        return UUID(guardian["id"])

    async def a_class(
        self,
        title: str = "Maths",
        periods: tuple[str, ...] = ("1",),
        room: str | None = None,
        grades: tuple[str, ...] = (),
    ) -> UUID:
        made = await self.made(
            "/classes",
            title=title,
            periods=list(periods),
            room=room,
            academic_session_ids=[str(self.term_id)],
            grades=list(grades),
        )
        return UUID(made["id"])

    async def enrol(self, class_id: UUID, person_id: UUID, role: str = "student", **spell: Any) -> dict[str, Any]:
        starts_on = str(TODAY - timedelta(days=30))
        body = {"class_id": str(class_id), "person_id": str(person_id), "role": role, "starts_on": starts_on}
        return await self.made("/enrolments", **(body | spell))

    async def a_taught_class(
        self, title: str = "Maths", periods: tuple[str, ...] = ("1",), grades: tuple[str, ...] = ()
    ) -> "Taught":
        """A class with its teacher and two students, and its lesson of today."""
        class_id = await self.a_class(title, periods, grades=grades)
        teacher_id = await self.a_teacher()
        students = [await self.a_student("Ada"), await self.a_student("Ben")]
        await self.enrol(class_id, teacher_id, "teacher")
        for student_id in students:
            await self.enrol(class_id, student_id)
        lesson = (await self.lessons(Role.TEACHER, teacher_id))["items"][0]
        return Taught(class_id=class_id, teacher_id=teacher_id, student_ids=students, lesson_id=UUID(lesson["id"]))

    async def lessons(self, role: str, person_id: UUID | None, **params: Any) -> dict[str, Any]:
        answer = await self.send("GET", "/lessons", role=role, person_id=person_id, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def save_register(
        self, taught: "Taught", version: int, marks: dict[UUID, str], **more: Any
    ) -> httpx.Response:
        body = {
            "version": version,
            "marks": [{"student_id": str(student_id), "code": code} for student_id, code in marks.items()],
            **more,
        }
        path = f"/lessons/{taught.lesson_id}/register"
        return await self.send("PUT", path, role=Role.TEACHER, person_id=taught.teacher_id, json=body)

    async def tell_calendar(
        self,
        *,
        version: int,
        term: tuple[date, date] = (TODAY - timedelta(days=10), TODAY + timedelta(days=10)),
        days: tuple[CalendarDay, ...] = (),
        grade_days: tuple[GradeDay, ...] = (),
        periods: dict[str, tuple[time, time]] = PERIODS,
    ) -> None:
        event = CalendarChanged(
            school_id=self.id,
            academic_sessions=[
                AcademicSession(
                    academic_session_id=self.term_id, title="Term", kind="term", starts_on=term[0], ends_on=term[1]
                )
            ],
            bell_periods=[
                BellPeriod(period=period, weekday=weekday, starts_at=starts_at, ends_at=ends_at)
                for weekday in range(1, 8)
                for period, (starts_at, ends_at) in periods.items()
            ],
            calendar_days=list(days),
            grade_days=list(grade_days),
        )
        assert await deliver(self.worker, event, school_id=self.id, version=version) == Outcome.DONE

    async def tell_zone(self, time_zone: str, *, version: int) -> None:
        event = SchoolChanged(
            school_id=self.id, district_id=new_id(), name="A school", time_zone=time_zone, grace_period_minutes=10
        )
        assert await deliver(self.worker, event, school_id=self.id, version=version) == Outcome.DONE


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    teacher_id: UUID
    student_ids: list[UUID]
    lesson_id: UUID


async def a_school(client: httpx.AsyncClient, tokens: Tokens, worker: Worker) -> School:
    """A school that meets on every day of the week, so that tests hold on Sundays too."""
    school = School(id=new_id(), term_id=new_id(), client=client, tokens=tokens, worker=worker)
    await school.tell_zone(TIME_ZONE, version=1)
    await school.tell_calendar(version=1)
    return school
