"""Schools, made as they come about in life: by the roster of their district."""

from typing import Any
from uuid import UUID

import httpx
import msgspec

from services.school.settings import Settings
from shared.contracts.envelope import Envelope
from shared.contracts.roster import RosterDistrict, RosterSchool, RosterSession, RosterUpsert, RosterUpserted
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.tokens import Tokens

Answer = httpx.Response


def year(**fields: Any) -> RosterSession:
    session = {
        "sourced_id": "year",
        "title": "2026/27",
        "kind": "school_year",
        "starts_on": "2026-08-24",
        "ends_on": "2027-06-11",
        **fields,
    }
    return msgspec.convert(session, RosterSession)


def term(**fields: Any) -> RosterSession:
    session = {
        "sourced_id": "fall",
        "title": "Fall",
        "kind": "term",
        "starts_on": "2026-08-24",
        "ends_on": "2026-12-18",
        "parent_sourced_id": "year",
        **fields,
    }
    return msgspec.convert(session, RosterSession)


def roster(
    *names: str, district: str | None = None, sessions: tuple[RosterSession, ...] = (year(), term())
) -> RosterUpsert:
    """Schools are found again by their place in `names`, so that a name can change."""
    return RosterUpsert(
        district=RosterDistrict(sourced_id=district or str(new_id()), name="Springfield Schools"),
        schools=[RosterSchool(sourced_id=f"s{number}", name=name) for number, name in enumerate(names)],
        academic_sessions=list(sessions),
    )


class House:
    """The service as others see it."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens, settings: Settings) -> None:
        self.client = client
        self.tokens = tokens
        self._database_url = settings.database_url

    async def put_roster(self, upsert: RosterUpsert) -> RosterUpserted:
        answer = await self.send_roster(upsert)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=RosterUpserted)

    async def send_roster(self, upsert: RosterUpsert, *, service: str = "academic") -> Answer:
        headers = self.tokens.service_headers(service)
        return await self.client.put("/internal/roster", content=msgspec.json.encode(upsert), headers=headers)

    async def school(self, name: str = "Lincoln Elementary") -> "School":
        saved = await self.put_roster(roster(name))
        return School(self, saved.schools[0].school.school_id)

    def told(self, school_id: UUID) -> list[Envelope]:
        return published(self._database_url, school_id)

    def told_schools(self, school_id: UUID) -> list[tuple[int, SchoolChanged]]:
        """Each state of the school that was told, with its version."""
        return [
            (each.version, msgspec.json.decode(each.data, type=SchoolChanged))
            for each in self.told(school_id)
            if each.type == "school.school_changed.v1"
        ]

    def told_calendars(self, school_id: UUID) -> list[tuple[int, CalendarChanged]]:
        return [
            (each.version, msgspec.json.decode(each.data, type=CalendarChanged))
            for each in self.told(school_id)
            if each.type == "school.calendar_changed.v1"
        ]


class School:
    """One school, spoken to by its people; the admin, unless told otherwise."""

    def __init__(self, house: House, school_id: UUID) -> None:
        self.house = house
        self.school_id = school_id

    async def send(self, method: str, path: str, json: object = None, *, role: str = Role.SCHOOL_ADMIN) -> Answer:
        headers = self.house.tokens.headers(role, school_id=self.school_id, person_id=new_id())
        return await self.house.client.request(method, f"/api/v1{path}", json=json, headers=headers)

    async def get(self, path: str, *, role: str = Role.SCHOOL_ADMIN) -> Any:
        answer = await self.send("GET", path, role=role)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def session(self, **fields: Any) -> Answer:
        session = {
            "title": "2030/31",
            "kind": "school_year",
            "starts_on": "2030-08-26",
            "ends_on": "2031-06-13",
            **fields,
        }
        return await self.send("POST", "/academic-sessions", session)

    def calendars(self) -> list[tuple[int, CalendarChanged]]:
        return self.house.told_calendars(self.school_id)


def pointers(answer: Answer) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]
