"""Schools, people and logins, made as they come about in life: by events, mails and requests."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import msgspec

from services.auth.kit import Kit
from shared.bus import Outcome
from shared.contracts.academic import GuardianChanged, StudentChanged, TeacherChanged
from shared.contracts.auth import InviteIssued, MembershipChanged, PasswordResetRequested
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver, published
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker

PASSWORD = "correct horse battery"
CHANGED = {"teacher": TeacherChanged, "student": StudentChanged, "guardian": GuardianChanged}


class House:
    """One client address per house, so that tests do not throttle each other."""

    def __init__(self, client: httpx.AsyncClient, worker: Worker, kit: Kit, tokens: Tokens, stack: Stack) -> None:
        self.client, self.worker, self.kit = client, worker, kit
        self.ip = str(new_id())
        self._tokens = tokens
        self._database_url = stack.database_url("auth")
        self._seal = Seal(kit.settings.seal_key)
        self._versions: dict[UUID, int] = {}

    # What happens elsewhere.

    async def school(self, name: str = "Lincoln Elementary") -> UUID:
        school_id = new_id()
        event = SchoolChanged(
            school_id=school_id, district_id=new_id(), name=name, time_zone="UTC", grace_period_minutes=10
        )
        await self.hear(event, school_id, about=school_id)
        return school_id

    async def person(
        self,
        school_id: UUID,
        role: str = "teacher",
        *,
        person_id: UUID | None = None,
        email: str | None = "",
        is_active: bool = True,
        version: int | None = None,
    ) -> UUID:
        """With an address of their own, unless told otherwise."""
        known = person_id or new_id()
        event = CHANGED[role](
            **{f"{role}_id": known},
            given_name="Ada",
            family_name="Lovelace",
            email=address(known) if email == "" else email,
            is_active=is_active,
        )
        await self.hear(event, school_id, about=known, version=version)
        return known

    async def hear(self, event: msgspec.Struct, school_id: UUID, *, about: UUID, version: int | None = None) -> None:
        self._versions[about] = version or self._versions.get(about, 0) + 1
        outcome = await deliver(self.worker, event, school_id=school_id, version=self._versions[about])
        assert outcome is Outcome.DONE

    # Requests.

    async def post(
        self, path: str, body: Any = None, *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        given = dict(headers or {})
        if token:
            given["Authorization"] = f"Bearer {token}"
        return await self.client.post(f"/api/v1{path}", json=body, headers={"x-client-ip": self.ip, **given})

    async def get(self, path: str, *, token: str | None = None, headers: Any = None) -> httpx.Response:
        given = headers or ({"Authorization": f"Bearer {token}"} if token else {})
        return await self.client.get(path if path.startswith("/api") else f"/api/v1{path}", headers=given)

    def admin(self, school_id: UUID) -> dict[str, str]:
        return self._tokens.headers("school_admin", school_id=school_id)

    def platform(self) -> dict[str, str]:
        return self._tokens.headers("platform_admin")

    async def sign_in(self, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        return await self.post("/auth/sign-in", {"email": email, "password": password}, headers=headers)

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.post("/auth/refresh", {"refresh_token": refresh_token})

    async def me(self, token: str) -> httpx.Response:
        return await self.get("/auth/me", token=token)

    async def invite(self, school_id: UUID, *person_ids: UUID, role: str = "teacher") -> httpx.Response:
        body = {"role": role, "person_ids": [str(each) for each in person_ids]}
        return await self.post("/invites", body, headers=self.admin(school_id))

    async def accept(self, code: str, password: str | None = PASSWORD) -> httpx.Response:
        return await self.post("/auth/invites/accept", {"code": code, "password": password})

    # What is told.

    def told(self, school_id: UUID | None, kind: str) -> list[Envelope]:
        found = published(self._database_url, school_id)
        return [each for each in found if each.type == kind]

    def invites(self, school_id: UUID) -> list[InviteIssued]:
        told = self.told(school_id, "auth.invite_issued.v1")
        return [msgspec.json.decode(each.data, type=InviteIssued) for each in told]

    def memberships(self, school_id: UUID) -> list[MembershipChanged]:
        told = self.told(school_id, "auth.membership_changed.v1")
        return [msgspec.json.decode(each.data, type=MembershipChanged) for each in told]

    def resets(self, email: str) -> list[PasswordResetRequested]:
        told = self.told(None, "auth.password_reset_requested.v1")
        resets = [msgspec.json.decode(each.data, type=PasswordResetRequested) for each in told]
        return [each for each in resets if each.email == email]

    def opened(self, event: InviteIssued | PasswordResetRequested) -> str:
        """The code of a mail."""
        return self._seal.open(event.sealed_code)

    # A whole way.

    async def code_for(self, school_id: UUID, person_id: UUID, *, role: str = "teacher") -> str:
        response = await self.invite(school_id, person_id, role=role)
        assert response.json()["issued"] == 1, response.text
        return self.opened(self.invites(school_id)[-1])

    async def login(
        self, school_id: UUID | None = None, *, role: str = "teacher", email: str | None = ""
    ) -> dict[str, Any]:
        """A person who was invited and came in; what they were told, with `email`, `school_id` and `person_id`."""
        school_id = school_id or await self.school()
        person_id = await self.person(school_id, role, email=email)
        response = await self.accept(await self.code_for(school_id, person_id, role=role))
        assert response.status_code == 200, response.text
        return {
            **response.json(),
            "email": email or address(person_id),
            "school_id": school_id,
            "person_id": person_id,
        }


def address(person_id: UUID) -> str:
    return f"{person_id}@home.test"


def slug(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix("/problems/")
