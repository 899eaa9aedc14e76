"""Who may come in at which door."""

from uuid import UUID

import httpx
import pytest

from services.school.app import create_app
from services.school.settings import Settings
from services.school.tests.factories import House, School, roster
from shared.identity import Role
from shared.ids import new_id
from shared.settings import SettingsError
from shared.testing.stack import Stack

DAY = {"kind": "holiday", "title": "Columbus Day"}
SESSION = {"title": "Y", "kind": "school_year", "starts_on": "2030-01-01", "ends_on": "2030-12-31"}
ROTATION = {
    "kind": "weeks",
    "starts_on": "2026-09-07",
    "turns": [{"name": "A", "periods": []}, {"name": "B", "periods": []}],
}

FOR_ADMINS = [
    ("PATCH", "/school", {"version": 1}),
    ("POST", "/academic-sessions", SESSION),
    ("PUT", f"/academic-sessions/{UUID(int=1)}", {name: SESSION[name] for name in ("title", "starts_on", "ends_on")}),
    ("PUT", "/bell-schedules", {"periods": []}),
    ("PUT", "/calendar-days/2026-10-12", DAY),
    ("DELETE", "/calendar-days/2026-10-12", None),
    ("PUT", "/grade-days/2026-10-12", {"grade_days": [{**DAY, "grades": ["12"]}]}),
    ("DELETE", "/grade-days/2026-10-12", None),
    ("PUT", "/rotation", ROTATION),
    ("DELETE", "/rotation", None),
    ("POST", "/rooms", {"name": "101"}),
]
FOR_EVERYBODY = [
    *("/school", "/academic-sessions", "/bell-schedules", "/calendar-days", "/grade-days", "/rotation-days", "/rooms")
]
FOR_THE_PLATFORM = ["/districts", "/schools"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, path) for method, path, _ in FOR_ADMINS),
        *(("GET", path) for path in FOR_EVERYBODY + FOR_THE_PLATFORM),
    ],
)
async def test_nobody_comes_in_without_a_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"/api/v1{path}")

    assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), FOR_ADMINS)
@pytest.mark.parametrize("role", [Role.TEACHER, Role.STUDENT, Role.GUARDIAN, Role.PLATFORM_ADMIN])
async def test_only_the_school_admin_changes_a_school(
    school: School, method: str, path: str, body: object, role: str
) -> None:
    answer = await school.send(method, path, body, role=role)

    assert answer.status_code == 403
    assert (await school.get("/school"))["calendar_version"] == 1


@pytest.mark.parametrize("path", FOR_EVERYBODY)
@pytest.mark.parametrize("role", [Role.SCHOOL_ADMIN, Role.TEACHER, Role.STUDENT, Role.GUARDIAN])
async def test_everybody_of_a_school_reads_it(school: School, path: str, role: str) -> None:
    answer = await school.send("GET", path, role=role)

    assert answer.status_code == 200


@pytest.mark.parametrize("path", FOR_THE_PLATFORM)
@pytest.mark.parametrize("role", [Role.SCHOOL_ADMIN, Role.TEACHER, Role.STUDENT, Role.GUARDIAN])
async def test_only_the_platform_admin_sees_the_directory(school: School, path: str, role: str) -> None:
    answer = await school.send("GET", path, role=role)

    assert answer.status_code == 403


@pytest.mark.parametrize("path", FOR_EVERYBODY)
async def test_the_platform_admin_does_not_look_into_schools(school: School, path: str) -> None:
    answer = await school.send("GET", path, role=Role.PLATFORM_ADMIN)

    assert answer.status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), [("GET", "/school", None), *FOR_ADMINS])
async def test_a_school_that_was_never_imported_is_not_there(
    house: House, method: str, path: str, body: object
) -> None:
    answer = await School(house, new_id()).send(method, path, body)

    assert answer.status_code == 404


async def test_the_roster_is_for_imports_alone(house: House) -> None:
    sent = roster("Lincoln")

    assert (await house.send_roster(sent, service="notification")).status_code == 403
    assert (await house.client.put("/internal/roster", json={})).status_code == 401
    assert (await house.send_roster(sent)).status_code == 200


async def test_a_user_is_no_service(school: School) -> None:
    headers = school.house.tokens.headers(Role.PLATFORM_ADMIN)

    assert (await school.house.client.put("/internal/roster", json={}, headers=headers)).status_code == 401
    assert (await school.house.client.get("/internal/schools", headers=headers)).status_code == 401


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "utc "])
async def test_a_default_time_zone_that_is_none_is_told_at_the_start(stack: Stack, zone: str) -> None:
    with pytest.raises(SettingsError, match="DEFAULT_TIME_ZONE"):
        create_app(stack.settings(Settings, "school", default_time_zone=zone))
