"""Announcements of a school: written over HTTP, sent by the worker's own step, heard of in the outbox."""

from typing import Any
from uuid import UUID

import httpx
import msgspec

from services.communication.announcements.sending import send_due
from services.communication.tests.factories import School
from shared import clock
from shared.contracts.communication import (
    AnnouncementHeld,
    AnnouncementRecipient,
    AnnouncementSent,
    AnnouncementWithdrawn,
)
from shared.contracts.envelope import event_type
from shared.contracts.notification import AnnouncementDelivered
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.stack import Stack

EVERYBODY = {"kind": "school"}
GUARDIANS = {"kind": "role", "role": "guardian"}
STUDENTS = {"kind": "role", "role": "student"}
TEACHERS = {"kind": "role", "role": "teacher"}
STAFF = {"kind": "role", "role": "staff"}


def of_class(class_id: UUID, *who: str) -> dict[str, Any]:
    return {"kind": "class", "class_id": str(class_id), "who": list(who)}


def person(person_id: UUID) -> dict[str, Any]:
    return {"kind": "person", "person_id": str(person_id)}


class Who:
    """Somebody with a login at the school."""

    def __init__(self, role: str, *, person_id: UUID | None = None, user_id: UUID | None = None) -> None:
        self.role, self.person_id, self.user_id = role, person_id, user_id or new_id()

    @property
    def recipient_id(self) -> UUID:
        return self.person_id or self.user_id


class Board:
    """What a school announces."""

    def __init__(self, school: School, stack: Stack) -> None:
        self.school, self.stack = school, stack
        self.office = Who(Role.SCHOOL_ADMIN)

    def guardian(self, person_id: UUID) -> Who:
        return Who(Role.GUARDIAN, person_id=person_id)

    def student(self, person_id: UUID) -> Who:
        return Who(Role.STUDENT, person_id=person_id)

    def teacher(self, person_id: UUID | None) -> Who:
        return Who(Role.TEACHER, person_id=person_id)

    async def ask(self, method: str, path: str, who: Who | None = None, **body: Any) -> httpx.Response:
        who = who or self.office
        headers = self.school.tokens.headers(
            who.role, school_id=self.school.school_id, person_id=who.person_id, user_id=who.user_id
        )
        sent = {"json": body} if method in {"POST", "PATCH"} and (body or not path.endswith(("read", "draw"))) else {}
        return await self.school.client.request(method, f"/api/v1/announcements{path}", headers=headers, **sent)

    async def did(self, method: str, path: str, who: Who | None = None, **body: Any) -> Any:
        answer = await self.ask(method, path, who, **body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def draft(self, *include: dict[str, Any], who: Who | None = None, exclude: Any = (), **fields: Any) -> Any:
        audience = {"include": list(include), "exclude": [str(each) for each in exclude]}
        return await self.did(
            "POST", "", who, **{"title": "Snow", "body": "No school.", "audience": audience, **fields}
        )

    async def sent(self, *include: dict[str, Any], who: Who | None = None, exclude: Any = (), **fields: Any) -> str:
        """The id of an announcement that went out."""
        made = await self.draft(*include, who=who, exclude=exclude, **fields)
        await self.did("POST", f"/{made['announcement_id']}/send", who, version=made["version"])
        await self.work()
        assert (await self.written(made["announcement_id"]))["state"] == "sent"
        return made["announcement_id"]

    async def work(self) -> None:
        """What the worker does until nothing is due."""
        while await send_due(self.school.worker.database):
            pass

    async def written(self, announcement_id: str) -> Any:
        return await self.did("GET", f"/written/{announcement_id}")

    async def edit(self, announcement_id: str, **change: Any) -> Any:
        version = (await self.written(announcement_id))["version"]
        return await self.did("PATCH", f"/{announcement_id}", version=version, **change)

    async def titles(self, who: Who, query: str = "") -> list[str]:
        return [each["title"] for each in (await self.did("GET", query, who))["items"]]

    async def sees(self, who: Who, announcement_id: str) -> bool:
        answer = await self.ask("GET", f"/{announcement_id}", who)
        assert answer.status_code in {200, 404}, answer.text
        return answer.status_code == 200

    def told(self, announcement_id: str, *, edition: int | None = None) -> list[AnnouncementRecipient]:
        """Everybody whom the events of an announcement name, as often as they name them."""
        return [
            each
            for event in self.events(announcement_id)
            if edition is None or event.edition == edition
            for each in event.recipients
        ]

    def events(self, announcement_id: str) -> list[AnnouncementSent]:
        found = [
            msgspec.json.decode(each.data, type=AnnouncementSent)
            for each in published(self.stack.database_url("communication"), self.school.school_id)
            if each.type == event_type(AnnouncementSent)
        ]
        return [each for each in found if str(each.announcement_id) == announcement_id]

    def held(self, announcement_id: str) -> list[AnnouncementHeld]:
        """What its author is told."""
        found = [
            msgspec.json.decode(each.data, type=AnnouncementHeld)
            for each in published(self.stack.database_url("communication"), self.school.school_id)
            if each.type == event_type(AnnouncementHeld)
        ]
        return [each for each in found if str(each.announcement_id) == announcement_id]

    def withdrawals(self, announcement_id: str) -> int:
        return sum(
            str(msgspec.json.decode(each.data, type=AnnouncementWithdrawn).announcement_id) == announcement_id
            for each in published(self.stack.database_url("communication"), self.school.school_id)
            if each.type == event_type(AnnouncementWithdrawn)
        )

    async def delivered(self, announcement_id: str, *recipient_ids: UUID, edition: int = 1) -> None:
        event = AnnouncementDelivered(
            announcement_id=UUID(announcement_id),
            edition=edition,
            recipient_ids=list(recipient_ids),
            delivered_at=clock.now(),
        )
        await self.school.hear(event)
