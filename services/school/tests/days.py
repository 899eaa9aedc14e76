"""A school's day as it comes about in life: told by events, read over HTTP."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from services.school.tests.factories import School
from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    ClassChanged,
    ClassMember,
    GuardianLinkChanged,
    LessonOfDay,
    LessonsPlanned,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.communication import (
    AnnouncementChanged,
    AnnouncementRead,
    AnnouncementRecipient,
    AnnouncementSent,
)
from shared.contracts.notification import DeliveryEnded
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.worker import Worker

TIME_ZONE = "America/New_York"
EARLIER = date(2020, 1, 1)


def member(person_id: UUID, role: str = "student", *, starts_on: date = EARLIER, ends_on: date | None = None) -> Any:
    return ClassMember(person_id=person_id, role=role, starts_on=starts_on, ends_on=ends_on)  # pyright: ignore[reportArgumentType]


def student(student_id: UUID, given_name: str = "Ada", *, is_active: bool = True) -> StudentChanged:
    return StudentChanged(student_id=student_id, given_name=given_name, family_name="", is_active=is_active)


def teacher(teacher_id: UUID, *, is_active: bool = True) -> TeacherChanged:
    return TeacherChanged(teacher_id=teacher_id, given_name="Tess", family_name="", is_active=is_active)


def a_class(class_id: UUID, *members: Any, title: str = "Maths", is_active: bool = True) -> ClassChanged:
    return ClassChanged(class_id=class_id, title=title, is_active=is_active, members=list(members))


def link(guardian_id: UUID, student_id: UUID, *, link_id: UUID | None = None, **terms: Any) -> GuardianLinkChanged:
    fields = {
        "relation": "mother",
        "may_see": True,
        "receives_alerts": True,
        "priority": 1,
        "is_active": True,
        **terms,
    }
    return GuardianLinkChanged(
        guardian_link_id=link_id or new_id(), guardian_id=guardian_id, student_id=student_id, **fields
    )


def lesson(class_id: UUID, *teacher_ids: UUID, begins_in: int = -30, **fields: Any) -> LessonOfDay:
    """It begins so many minutes from now, whatever the time of day: only its day says when it is."""
    starts_at = clock.now() + timedelta(minutes=begins_in)
    told = {"lesson_id": new_id(), "class_title": "Maths", "is_cancelled": False, **fields}
    return LessonOfDay(
        class_id=class_id,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45),
        teacher_ids=list(teacher_ids),
        **told,
    )


def plan(day: date, *lessons: LessonOfDay) -> LessonsPlanned:
    return LessonsPlanned(day=day, lessons=list(lessons))


def saved(day: date, lesson_id: UUID, *marked: UUID, **counts: int) -> RegisterSaved:
    kinds = {"present": 0, "absent": 0, "late": 0, "excused": 0, **counts}
    return RegisterSaved(
        lesson_id=lesson_id, day=day, saved_at=clock.now(), **kinds, marked_student_ids=list(marked) or None
    )


def marked(day: date, student_id: UUID, status: Any, *, is_unexplained_absence: bool = False) -> AttendanceDayChanged:
    return AttendanceDayChanged(
        student_id=student_id,
        day=day,
        status=status,
        is_unexplained_absence=is_unexplained_absence,
        lessons=[],
        changed_at=clock.now(),
        changed_by=new_id(),
    )


def report(student_id: UUID, first: date, last: date, **fields: Any) -> AbsenceReportChanged:
    told = {"absence_report_id": new_id(), "kind": "leave", "state": "pending", **fields}
    return AbsenceReportChanged(student_id=student_id, starts_on=first, ends_on=last, changed_by=new_id(), **told)


def mail(day: date, student_id: UUID, recipient_id: UUID | None, state: Any, **fields: Any) -> DeliveryEnded:
    told = {"delivery_id": new_id(), "category": "absence_alert", **fields}
    return DeliveryEnded(
        student_id=student_id, recipient_id=recipient_id, state=state, day=day, ended_at=clock.now(), **told
    )


def sent(announcement_id: UUID, *recipients: tuple[str, UUID], edition: int = 1) -> AnnouncementSent:
    return AnnouncementSent(
        announcement_id=announcement_id,
        edition=edition,
        part=1,
        title="Snow",
        body="No school.",
        is_urgent=False,
        recipients=[
            AnnouncementRecipient(recipient_id=each, role=role, student_ids=[])  # pyright: ignore[reportArgumentType]
            for role, each in recipients
        ],
        sent_by=new_id(),
        sent_at=clock.now(),
    )


def announced(announcement_id: UUID, **state: Any) -> AnnouncementChanged:
    told = {"edition": 1, "title": "Snow", "body": "No school.", "expires_at": None, "is_withdrawn": False, **state}
    return AnnouncementChanged(announcement_id=announcement_id, **told)


def read(announcement_id: UUID, recipient_id: UUID, role: Any = Role.TEACHER, *, edition: int = 1) -> AnnouncementRead:
    return AnnouncementRead(
        announcement_id=announcement_id, recipient_id=recipient_id, role=role, edition=edition, read_at=clock.now()
    )


class SchoolDay:
    """Events go in through the worker; what they led to is read over HTTP."""

    def __init__(self, school: School, worker: Worker) -> None:
        self.school = school
        self.school_id = school.school_id
        self.worker = worker

    @property
    def today(self) -> date:
        return clock.school_day(clock.now(), TIME_ZONE)

    def after(self, days: int) -> date:
        return self.today + timedelta(days=days)

    async def hear(self, *events: msgspec.Struct, version: int = 1) -> None:
        for event in events:
            assert await deliver(self.worker, event, school_id=self.school_id, version=version) is Outcome.DONE

    async def asked(
        self, role: str, person_id: UUID | None = None, *, school_id: UUID | None = None, user_id: UUID | None = None
    ) -> httpx.Response:
        house = self.school.house
        who: dict[str, Any] = {"user_id": user_id} if user_id else {}
        headers = house.tokens.headers(role, school_id=school_id or self.school_id, person_id=person_id, **who)
        return await house.client.get("/api/v1/today", headers=headers)

    async def shown(self, role: str, person_id: UUID | None = None) -> Any:
        answer = await self.asked(role, person_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def office(self) -> Any:
        return (await self.shown(Role.SCHOOL_ADMIN))["office"]

    async def lessons(self, teacher_id: UUID) -> Any:
        return (await self.shown(Role.TEACHER, teacher_id))["lessons"]

    async def children(self, guardian_id: UUID) -> Any:
        return (await self.shown(Role.GUARDIAN, guardian_id))["students"]

    async def unread(self, role: str, person_id: UUID | None = None, *, user_id: UUID | None = None) -> Any:
        answer = await self.asked(role, person_id, user_id=user_id)
        assert answer.status_code == 200, answer.text
        return answer.json()["unread_messages"]

    async def holiday(self, title: str = "Labor Day") -> None:
        answer = await self.school.send("PUT", f"/calendar-days/{self.today}", {"kind": "holiday", "title": title})
        assert answer.status_code == 200, answer.text

    async def grade_days(self, *asked: dict[str, Any]) -> None:
        answer = await self.school.send("PUT", f"/grade-days/{self.today}", {"grade_days": list(asked)})
        assert answer.status_code == 200, answer.text


def local(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


class Taught:
    """A class of two with its teacher, and Ada's mother."""

    def __init__(self) -> None:
        self.class_id, self.ada, self.ben, self.tess, self.anne = (new_id() for _ in range(5))

    async def told(self, day: SchoolDay) -> "Taught":
        members = [member(self.ada), member(self.ben), member(self.tess, "teacher")]
        await day.hear(
            student(self.ada),
            student(self.ben, "Ben"),
            teacher(self.tess),
            a_class(self.class_id, *members),
            link(self.anne, self.ada),
        )
        return self
