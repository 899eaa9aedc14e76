"""A school's data are remembered, and nobody notices but the database (bar B17)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path

import httpx
import msgspec
import pytest

from services.school import caches
from services.school.app import create_app
from services.school.settings import Settings
from services.school.tests.days import SchoolDay, Taught, lesson, mail, marked, plan, report, saved
from services.school.tests.factories import House, School, roster
from shared.cache import REQUESTS
from shared.identity import Role
from shared.ids import new_id
from shared.testing.faults import OwnRedis, Wire, wire_to
from shared.testing.http import client_of
from shared.testing.queries import readings, statements
from shared.testing.tokens import Tokens
from shared.web import build_app

PATHS = (
    *("/school", "/academic-sessions", "/bell-schedules", "/calendar-days", "/grade-days", "/rotation-days", "/rooms"),
)
ROTATION = {
    "kind": "weeks",
    "starts_on": "2026-09-07",
    "turns": [{"name": "A", "periods": []}, {"name": "B", "periods": []}],
}
WRITES = {
    "/school": ("PATCH", "/school", {"version": 1, "grace_period_minutes": 99}),
    "/academic-sessions": (
        "POST",
        "/academic-sessions",
        {"title": "2030/31", "kind": "school_year", "starts_on": "2030-08-26", "ends_on": "2031-06-13"},
    ),
    "/bell-schedules": ("PUT", "/bell-schedules", {"periods": []}),
    "/calendar-days": ("PUT", "/calendar-days/2026-11-26", {"kind": "holiday", "title": "Thanksgiving"}),
    "/grade-days": (
        "PUT",
        "/grade-days/2026-11-26",
        {"grade_days": [{"grades": ["12"], "kind": "holiday", "title": "Trip"}]},
    ),
    "/rotation-days": ("PUT", "/rotation", ROTATION),
    "/rooms": ("POST", "/rooms", {"name": "Gym"}),
}


@pytest.mark.parametrize("path", PATHS)
async def test_what_was_read_once_is_answered_without_the_database(school: School, path: str) -> None:
    first = await school.send("GET", path)

    with statements() as seen:
        second = await school.send("GET", path, role=Role.STUDENT)

    assert seen == []
    assert second.status_code == 200
    assert second.content == first.content
    assert second.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_written_reads_it_at_once(school: School, path: str) -> None:
    method, target, body = WRITES[path]
    before = await school.send("GET", path)

    written = await school.send(method, target, body)

    assert written.status_code < 300, written.text
    after = await school.send("GET", path)
    assert after.json() != before.json()
    assert after.headers["etag"] != before.headers["etag"]


async def test_a_new_brand_is_seen_by_everybody_at_once(school: School) -> None:
    before = await school.send("GET", "/school", role=Role.STUDENT)
    brand = {"locale": "de-DE", "brand_colour": "#1a4f8b", "logo_url": "https://cdn.example/logo.svg"}

    await school.send("PATCH", "/school", {"version": 1, **brand})

    after = await school.send("GET", "/school", role=Role.STUDENT)
    assert after.headers["etag"] != before.headers["etag"]
    assert {name: after.json()[name] for name in brand} == brand


async def test_a_roster_that_renames_a_school_is_seen_at_once(house: House) -> None:
    """One transaction writes for all schools of a district: each has its answers dropped."""
    district = str(new_id())
    saved = (await house.put_roster(roster("Lincoln", "Jackson", district=district))).schools
    schools = [School(house, each.school.school_id) for each in saved]
    before = [(await each.get("/school"))["name"] for each in schools]

    await house.put_roster(roster("Lincoln II", "Jackson II", district=district))

    after = [(await each.get("/school"))["name"] for each in schools]
    assert (before, after) == (["Lincoln", "Jackson"], ["Lincoln II", "Jackson II"])


@pytest.mark.parametrize("path", [*PATHS, "/rotation"])
async def test_a_kind_names_every_table_that_it_is_read_from(school: School, path: str) -> None:
    await school.send("PUT", "/rotation", ROTATION)
    with readings() as found:
        await school.send("GET", path)

    assert [tables - kind.tables for kind, tables in found] == [frozenset()]
    assert all(tables for _, tables in found)


# A day is each role's own; how much staff have to read is asked anew each time (ADR 0506).


@pytest.fixture
async def full_day(day: SchoolDay, taught: Taught) -> SchoolDay:
    """Something of everything, so that no part of a day is left out for want of it."""
    await day.school.send("PUT", "/rotation", ROTATION)
    meets = lesson(taught.class_id, taught.tess)
    await day.hear(
        plan(day.today, meets, lesson(taught.class_id, taught.tess, begins_in=60)),
        saved(day.today, meets.lesson_id, present=1, absent=1),
        marked(day.today, taught.ada, "absent", is_unexplained_absence=True),
        mail(day.today, taught.ada, taught.anne, "failed"),
        report(taught.ada, day.today, day.today),
    )
    return day


DAYS = {Role.SCHOOL_ADMIN: None, Role.TEACHER: "tess", Role.GUARDIAN: "anne", Role.STUDENT: "ada"}
NAMED_IN_A_STATEMENT = frozenset({"expected"})
"""By WITH: no tables."""
READ_EACH_TIME = {Role.SCHOOL_ADMIN: 1, Role.TEACHER: 1, Role.GUARDIAN: 0, Role.STUDENT: 0}


async def asked(day: SchoolDay, taught: Taught, role: str) -> httpx.Response:
    whose = DAYS[role]
    return await day.asked(role, getattr(taught, whose) if whose else None)


@pytest.mark.parametrize("role", DAYS)
async def test_a_day_that_was_read_once_is_answered_without_the_database(
    full_day: SchoolDay, taught: Taught, role: str
) -> None:
    first = await asked(full_day, taught, role)

    with statements() as seen:
        second = await asked(full_day, taught, role)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert len([sql for sql in seen if "today_message" in sql]) == READ_EACH_TIME[role]
    assert [sql for sql in seen if "today_" in sql and "today_message" not in sql] == []
    assert not any("FROM school\n" in sql for sql in seen)


@pytest.mark.parametrize("role", DAYS)
async def test_a_day_names_every_table_that_it_is_read_from(full_day: SchoolDay, taught: Taught, role: str) -> None:
    with readings() as found:
        answer = await asked(full_day, taught, role)

    assert answer.status_code == 200, answer.text
    assert [kind for kind, _ in found] == [caches.SCHOOL_DAY, caches.TODAY]
    assert [tables - kind.tables - NAMED_IN_A_STATEMENT for kind, tables in found] == [frozenset()] * 2
    shared, whole = [tables for _, tables in found]
    assert {"school", "rotation", "academic_session", "calendar_day", "grade_day_grade"} <= shared
    assert shared | {"today_lesson"} <= whole


async def test_what_a_day_is_to_everybody_is_read_once(full_day: SchoolDay, taught: Taught) -> None:
    await asked(full_day, taught, Role.GUARDIAN)

    with statements() as seen:
        other = await asked(full_day, taught, Role.STUDENT)

    assert other.status_code == 200
    assert seen
    assert not [sql for sql in seen if "today_" not in sql]


async def test_another_school_never_gets_it(house: House, school: School) -> None:
    await school.send("POST", "/rooms", {"name": "Gym"})
    other = await house.school()

    assert [each["name"] for each in (await school.get("/rooms"))["items"]] == ["Gym"]
    assert (await other.get("/rooms"))["items"] == []


async def test_each_page_is_its_own(school: School) -> None:
    for name in ("A", "B", "C"):
        await school.send("POST", "/rooms", {"name": name})

    pages = [await school.get(f"/rooms?limit={limit}") for limit in (1, 2, 1, 2)]

    assert [len(page["items"]) for page in pages] == [1, 2, 1, 2]


# Conditional requests.


async def conditional(school: School, path: str, tag: str) -> httpx.Response:
    headers = school.house.tokens.headers(Role.TEACHER, school_id=school.school_id, person_id=new_id())
    return await school.house.client.get(
        f"/api/v1{path}",
        headers={**{name: value.encode() for name, value in headers.items()}, "If-None-Match": tag.encode("latin-1")},
    )


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_the_answer_is_told_so_without_it(school: School, path: str) -> None:
    first = await school.send("GET", path)

    again = await conditional(school, path, first.headers["etag"])

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert not first.headers["etag"].startswith("W/")


@pytest.mark.parametrize("form", ["W/{}", '"other", {}', '"other",W/{}', "*"])
async def test_the_tag_is_found_in_every_form_that_it_may_come_in(school: School, form: str) -> None:
    first = await school.send("GET", "/rooms")

    assert (await conditional(school, "/rooms", form.format(first.headers["etag"]))).status_code == 304


@pytest.mark.parametrize("tag", ['"other"', "", "nonsense", '""', "W/", "\x80"])
async def test_any_other_tag_gets_the_answer(school: School, tag: str) -> None:
    answer = await conditional(school, "/rooms", tag)

    assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})


async def test_a_written_answer_is_not_the_one_that_one_has(school: School) -> None:
    first = await school.send("GET", "/rooms")
    await school.send("POST", "/rooms", {"name": "Gym"})

    assert (await conditional(school, "/rooms", first.headers["etag"])).status_code == 200


async def test_a_browser_keeps_it_for_its_user_and_asks_each_time(school: School) -> None:
    answer = await school.send("GET", "/rooms")

    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"


async def test_what_is_not_cached_is_not_kept_by_anybody(school: School) -> None:
    answer = await school.send("POST", "/rooms", {"name": "Gym"})

    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


async def test_nobody_gets_an_answer_for_having_its_tag(school: School) -> None:
    tag = {"If-None-Match": "*"}
    stranger = school.house.tokens.headers(Role.PLATFORM_ADMIN) | tag

    assert (await school.house.client.get("/api/v1/rooms", headers=tag)).status_code == 401
    assert (await school.house.client.get("/api/v1/rooms", headers=stranger)).status_code == 403


async def test_a_service_that_caches_what_nobody_would_drop_does_not_start(settings: Settings) -> None:
    from services.school.access import PERMISSIONS  # noqa: PLC0415
    from services.school.rooms.routes import router  # noqa: PLC0415

    with pytest.raises(LookupError):
        build_app("school", settings, routers=[router], permissions=PERMISSIONS, caches=[caches.BELLS])


# While Redis is dead, frozen or slow.


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[OwnRedis]:
    redis = OwnRedis(tmp_path / "redis")
    yield redis
    redis.stop()


@pytest.fixture
async def wire(own_redis: OwnRedis) -> AsyncGenerator[Wire]:
    async with wire_to(own_redis.port) as wire:
        yield wire


@pytest.fixture
async def exposed(settings: Settings, tokens: Tokens, wire: Wire) -> AsyncGenerator[School]:
    """A school whose service has a Redis that may fail, and the time-out of production."""
    own = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{wire.port}/0", cache_timeout_s=0.025)
    async with client_of(create_app(own, tokens.verifier)) as client:
        yield await House(client, tokens, own).school()


async def kill(redis: OwnRedis, _: Wire) -> Callable[[], Awaitable[None]]:
    await redis.kill()
    return redis.start


async def freeze(redis: OwnRedis, _: Wire) -> Callable[[], Awaitable[None]]:
    await redis.freeze()
    return redis.thaw


async def slow_down(_: OwnRedis, wire: Wire) -> Callable[[], Awaitable[None]]:
    wire.delay_s = 0.5

    async def hurry() -> None:
        wire.delay_s = 0.0

    return hurry


def hits() -> float:
    return REQUESTS.labels("school", "hit")._value.get()


async def hit(school: School, within_s: float) -> bool:
    """Whether the cache answers again, asked for so long."""
    before, ends_at = hits(), time.monotonic() + within_s
    while time.monotonic() < ends_at and hits() == before:
        await school.get("/rooms")
        await asyncio.sleep(0.05)
    return hits() > before


Fault = Callable[[OwnRedis, Wire], Awaitable[Callable[[], Awaitable[None]]]]
FAULTS: tuple[Fault, ...] = (kill, freeze, slow_down)
NOBODY_WAITS_S = 3.0
"""The bar is 50 ms at the 99th percentile; this machine may be busy with other tests."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_requests_go_on_while_redis_does_not(
    exposed: School, own_redis: OwnRedis, wire: Wire, fault: Fault
) -> None:
    took = await through(fault, exposed, own_redis, wire)

    assert took[int(len(took) * 0.99)] < NOBODY_WAITS_S * 0.4
    assert took[-1] < NOBODY_WAITS_S
    assert await hit(exposed, within_s=60)
    assert [each["name"] for each in (await exposed.get("/rooms"))["items"]] == ["Gym"]


async def test_control_who_waits_long_for_a_frozen_redis_is_found_out(
    settings: Settings, tokens: Tokens, own_redis: OwnRedis, wire: Wire
) -> None:
    patient = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{wire.port}/0", cache_timeout_s=3.5)
    async with client_of(create_app(patient, tokens.verifier)) as client:
        took = await through(freeze, await House(client, tokens, patient).school(), own_redis, wire)

    assert took[-1] >= NOBODY_WAITS_S


async def through(fault: Fault, exposed: School, own_redis: OwnRedis, wire: Wire) -> list[float]:
    """How long each request took, the slowest last, while Redis failed and a room was added."""
    assert await hit(exposed, within_s=60)
    took: list[float] = []

    async def go_on(until: float) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            assert (await exposed.send("GET", "/rooms")).status_code == 200
            took.append(time.monotonic() - began)

    going = asyncio.gather(*(go_on(time.monotonic() + 3) for _ in range(3)))
    await asyncio.sleep(0.3)
    mend = await fault(own_redis, wire)
    written = await exposed.send("POST", "/rooms", {"name": "Gym"})
    seen = await exposed.get("/rooms")
    await going
    await mend()

    assert written.status_code == 201
    assert [each["name"] for each in seen["items"]] == ["Gym"]
    return sorted(took)
