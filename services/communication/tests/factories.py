"""A school with people in it, made as it comes about in life: by events."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import (
    AttendanceDayChanged,
    ClassChanged,
    ClassMember,
    GuardianChanged,
    GuardianLinkChanged,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import MembershipChanged
from shared.contracts.school import SchoolChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.testing.tokens import Tokens
from shared.worker import Worker

EARLIER = date(2020, 1, 1)


def member(person_id: UUID, role: str = "student", *, starts_on: date = EARLIER, ends_on: date | None = None) -> Any:
    return ClassMember(person_id=person_id, role=role, starts_on=starts_on, ends_on=ends_on)  # pyright: ignore[reportArgumentType]


class School:
    """Events go in through the worker; what they led to is read over HTTP."""

    def __init__(
        self, client: httpx.AsyncClient, worker: Worker, tokens: Tokens, *, time_zone: str = "America/New_York"
    ) -> None:
        self.school_id = new_id()
        self.time_zone = time_zone
        self.client = client
        self.worker = worker
        self.tokens = tokens

    @property
    def today(self) -> date:
        return clock.school_day(clock.now(), self.time_zone)

    def days_from_today(self, days: int) -> date:
        return self.today + timedelta(days=days)

    async def hear(self, event: msgspec.Struct, *, version: int = 1) -> None:
        assert await deliver(self.worker, event, school_id=self.school_id, version=version) is Outcome.DONE

    async def named(self, *, version: int, time_zone: str | None = None) -> None:
        self.time_zone = time_zone or self.time_zone
        event = SchoolChanged(
            school_id=self.school_id,
            district_id=new_id(),
            name="Lincoln Elementary",
            time_zone=self.time_zone,
            grace_period_minutes=10,
        )
        await self.hear(event, version=version)

    async def student(
        self,
        given_name: str = "Ada",
        family_name: str = "Lovelace",
        *,
        student_id: UUID | None = None,
        grade: str | None = None,
        is_active: bool = True,
        version: int = 1,
    ) -> UUID:
        student_id = student_id or new_id()
        event = StudentChanged(
            student_id=student_id, given_name=given_name, family_name=family_name, grade=grade, is_active=is_active
        )
        await self.hear(event, version=version)
        return student_id

    async def teacher(self, *, teacher_id: UUID | None = None, is_active: bool = True, version: int = 1) -> UUID:
        teacher_id = teacher_id or new_id()
        event = TeacherChanged(teacher_id=teacher_id, given_name="Mary", family_name="Somerville", is_active=is_active)
        await self.hear(event, version=version)
        return teacher_id

    async def guardian(
        self,
        *children: UUID,
        given_name: str = "Anne",
        family_name: str = "Byron",
        email: str | None = "anne@home.test",
        guardian_id: UUID | None = None,
        is_active: bool = True,
        is_linked: bool = True,
        version: int = 1,
        **link: Any,
    ) -> UUID:
        guardian_id = guardian_id or new_id()
        event = GuardianChanged(
            guardian_id=guardian_id,
            given_name=given_name,
            family_name=family_name,
            email=email,
            is_active=is_active,
        )
        await self.hear(event, version=version)
        for student_id in children:
            await self.link(guardian_id, student_id, is_active=is_linked, **link)
        return guardian_id

    async def link(
        self, guardian_id: UUID, student_id: UUID, *, link_id: UUID | None = None, version: int = 1, **fields: Any
    ) -> UUID:
        link_id = link_id or new_id()
        link: dict[str, Any] = {
            "relation": "mother",
            "may_see": True,
            "receives_alerts": True,
            "priority": 1,
            "is_active": True,
            **fields,
        }
        event = GuardianLinkChanged(guardian_link_id=link_id, guardian_id=guardian_id, student_id=student_id, **link)
        await self.hear(event, version=version)
        return link_id

    async def school_class(
        self, *members: ClassMember, class_id: UUID | None = None, is_active: bool = True, version: int = 1
    ) -> UUID:
        class_id = class_id or new_id()
        event = ClassChanged(class_id=class_id, title="Maths 1", is_active=is_active, members=list(members))
        await self.hear(event, version=version)
        return class_id

    async def admin(
        self,
        *,
        user_id: UUID | None = None,
        membership_id: UUID | None = None,
        is_active: bool = True,
        version: int = 1,
    ) -> UUID:
        """The login of one who runs the school."""
        user_id = user_id or new_id()
        event = MembershipChanged(
            membership_id=membership_id or new_id(), user_id=user_id, role=Role.SCHOOL_ADMIN, is_active=is_active
        )
        await self.hear(event, version=version)
        return user_id

    async def teaches(self, user_id: UUID, teacher_id: UUID, *, is_active: bool = True, **how: Any) -> UUID:
        """The login of a teacher; its membership."""
        membership_id: UUID = how.pop("membership_id", None) or new_id()
        event = MembershipChanged(
            membership_id=membership_id,
            user_id=user_id,
            role=Role.TEACHER,
            person_id=teacher_id,
            is_active=is_active,
        )
        await self.hear(event, **how)
        return membership_id

    async def attendance(self, student_id: UUID, status: Any, *, day: date | None = None, version: int = 1) -> None:
        event = AttendanceDayChanged(
            student_id=student_id,
            day=day or self.today,
            status=status,
            is_unexplained_absence=False,
            lessons=[],
            changed_at=clock.now(),
            changed_by=new_id(),
        )
        await self.hear(event, version=version)

    async def ask(
        self, class_id: UUID, *, role: str = Role.SCHOOL_ADMIN, person_id: UUID | None = None, query: str = ""
    ) -> httpx.Response:
        headers = self.tokens.headers(role, school_id=self.school_id, person_id=person_id)
        return await self.client.get(f"/api/v1/contacts?class_id={class_id}{query}", headers=headers)

    async def contacts(self, class_id: UUID, **who: Any) -> list[dict[str, Any]]:
        answer = await self.ask(class_id, **who)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def names(self, class_id: UUID) -> list[str]:
        return [each["given_name"] for each in await self.contacts(class_id)]

    async def guardians_of(self, student_id: UUID) -> list[str]:
        """Seen through a class of the student's own."""
        class_id = await self.school_class(member(student_id))
        (contact,) = await self.contacts(class_id)
        return [each["name"] for each in contact["guardians"]]
