"""The read models of today's dashboards are made anew from their owners, while events go on coming."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import psycopg
import pytest

from services.academic.day_plans.actions import look_at_next_school
from services.school.caches import TODAY
from services.school.followed import queries
from services.school.followed.rebuild import Rebuilt, rebuild
from services.school.settings import Settings
from shared.identity import Role
from shared.ids import new_id
from shared.problems import Unavailable
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.transactions import Change
from shared.web.app import litestar_of
from tests.whole_house import FilledSchool, House, open_house

T = TypeVar("T")
TABLES = {
    "today_student": "student_id",
    "today_teacher": "teacher_id",
    "today_class": "class_id",
    "today_class_member": "class_id, person_id, starts_on",
    "today_guardian_link": "guardian_link_id",
    "today_attendance_day": "day, student_id",
    "today_absence_report": "absence_report_id",
    "today_plan": "day",
    "today_lesson": "day, lesson_id",
    "today_register": "day, lesson_id",
    "today_delivery": "day, delivery_id",
    "today_announcement": "announcement_id",
    "today_message": "announcement_id, recipient_id",
}
WRECK = (
    "DELETE FROM school.today_class WHERE school_id = %(school_id)s",
    "DELETE FROM school.today_lesson WHERE school_id = %(school_id)s",
    "DELETE FROM school.today_teacher WHERE school_id = %(school_id)s",
    "DELETE FROM school.today_absence_report WHERE school_id = %(school_id)s",
    "UPDATE school.today_student SET given_name = 'Nobody' WHERE school_id = %(school_id)s",
    "UPDATE school.today_attendance_day SET status = 'present', version = 1000 WHERE school_id = %(school_id)s",
    "UPDATE school.today_guardian_link SET may_see = false, version = 0 WHERE school_id = %(school_id)s",
    "UPDATE school.today_register SET present = 99 WHERE school_id = %(school_id)s",
    "DELETE FROM school.today_delivery WHERE school_id = %(school_id)s",
    "UPDATE school.today_announcement SET is_withdrawn = NOT is_withdrawn WHERE school_id = %(school_id)s",
    "UPDATE school.today_message SET version = 0 WHERE school_id = %(school_id)s",
    """
    INSERT INTO school.today_student (school_id, student_id, given_name, family_name, is_active, version, touched_at)
    VALUES (%(school_id)s, gen_random_uuid(), 'Ghost', '', true, 1000, now())
    """,
    """
    INSERT INTO school.today_attendance_day (school_id, day, student_id, status, version, touched_at)
    VALUES (%(school_id)s, %(today)s, gen_random_uuid(), 'absent', 1000, now())
    """,
    """
    INSERT INTO school.today_message (school_id, announcement_id, recipient_id, role, version, touched_at)
    SELECT school_id, announcement_id, gen_random_uuid(), 'teacher', 1000, now()
    FROM school.today_announcement
    WHERE school_id = %(school_id)s
    ORDER BY announcement_id
    LIMIT 1
    """,
    """
    INSERT INTO school.today_delivery (school_id, day, delivery_id, student_id, state, version, touched_at)
    VALUES (%(school_id)s, %(today)s, gen_random_uuid(), gen_random_uuid(), 'failed', 1, now())
    """,
)


@pytest.fixture(scope="module")
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


@pytest.fixture
async def school(house: House) -> FilledSchool:
    return await FilledSchool(house, f"Q{new_id().hex[-6:]}").fill()


class Owners:
    """The services that own what is kept, asked as the command asks them; `meanwhile` happens when a page with
    something of its kind was read, and is on its way.
    """

    def __init__(self, house: House, meanwhile: Mapping[str, Callable[[], Awaitable[None]]] | None = None) -> None:
        self._house = house
        self._meanwhile = dict(meanwhile or {})

    async def get(self, url: str, answer: type[T]) -> T:
        headers = self._house.tokens.service_headers("school")
        asked = urlsplit(url)
        response = await self._house.send(asked.netloc, "GET", f"{asked.path}?{asked.query}", headers=headers)
        assert response.status_code == 200, response.text
        kind = parse_qs(asked.query).get("kind", ["deliveries"])[0]
        if response.json()["items"] and (happens := self._meanwhile.pop(kind, None)):
            await happens()
        return msgspec.json.decode(response.content, type=answer)


def named(house: House) -> Settings:
    """Owners that are addressed by their names."""
    urls = {f"{name}_url": f"http://{name}" for name in ("academic", "communication", "notification")}
    return house.stack.settings(Settings, "school", **urls)


async def make_anew(school: FilledSchool, owners: Any) -> Rebuilt:
    database = school.house.services["school"].worker.database
    rebuilt = await rebuild(database, owners, named(school.house), school.school_id)
    assert rebuilt is not None
    return rebuilt


async def shown(school: FilledSchool) -> list[Any]:
    """Out of the tables: they are wrecked here behind the back of the cache."""
    cache = litestar_of(school.house.services["school"].app).state.cache
    await cache.drop({Change(school.school_id, table) for table in TODAY.tables})
    roles = (Role.SCHOOL_ADMIN, Role.TEACHER, Role.GUARDIAN, Role.STUDENT)
    return [await school.ask("school", "GET", "/today", role) for role in roles]


def rows(school: FilledSchool) -> dict[str, list[Any]]:
    """What is kept of the school, but for when it was written."""
    with psycopg.connect(school.house.stack.admin_url) as connection:
        return {
            table: [
                {name: value for name, value in row.items() if name != "touched_at"}
                for (row,) in connection.execute(
                    f"SELECT to_jsonb(t) FROM school.{table} AS t WHERE school_id = %s ORDER BY {key}",  # pyright: ignore[reportArgumentType, reportCallIssue]
                    (school.school_id,),
                )
            ]
            for table, key in TABLES.items()
        }


def run(school: FilledSchool, *statements: str) -> None:
    with psycopg.connect(school.house.stack.admin_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement, {"school_id": school.school_id, "today": school.today})  # pyright: ignore[reportArgumentType, reportCallIssue]


def forget_everything(school: FilledSchool) -> None:
    run(school, *(f"DELETE FROM school.{table} WHERE school_id = %(school_id)s" for table in TABLES))


async def test_what_was_wrecked_is_as_its_owner_has_it(school: FilledSchool) -> None:
    before, kept = await shown(school), rows(school)
    assert all(kept.values()), "there is something in every table"
    run(school, *WRECK)
    assert await shown(school) != before

    rebuilt = await make_anew(school, Owners(school.house))

    assert rows(school) == kept
    assert await shown(school) == before
    assert rebuilt.lost == 4


async def test_out_of_nothing_comes_everything(school: FilledSchool) -> None:
    before, kept = await shown(school), rows(school)
    forget_everything(school)

    rebuilt = await make_anew(school, Owners(school.house))

    assert rows(school) == kept
    assert await shown(school) == before
    assert rebuilt.rows > 10
    assert rebuilt.lost == 0


async def test_doing_it_again_changes_nothing(school: FilledSchool) -> None:
    kept = rows(school)

    for _ in range(2):
        assert (await make_anew(school, Owners(school.house))).lost == 0

    assert rows(school) == kept


def changes_of(school: FilledSchool) -> dict[str, Callable[[], Awaitable[None]]]:
    """One of each kind, made while a page of that kind is on its way and heard of before it comes."""

    async def heard() -> None:
        while await look_at_next_school(school.house.services["academic"].worker.database):
            pass
        await school.house.carry_events(school.school_id)

    async def rename() -> None:
        path = f"/students/{school.ids['student_id']}"
        body = {"version": (await school.ask("academic", "GET", path))["version"], "given_name": "Renamed"}
        await school.ask("academic", "PATCH", path, json=body)
        await school.made("/students", given_name="Joined just now")
        await heard()

    async def unlink() -> None:
        for link in (await school.ask("academic", "GET", "/guardian-links"))["items"]:
            body = {"version": link["version"], "may_see": False}
            await school.ask("academic", "PATCH", f"/guardian-links/{link['id']}", json=body)
        await heard()

    async def leave() -> None:
        body = {"ends_on": str(school.today - timedelta(days=1))}
        await school.ask("academic", "POST", f"/enrolments/{school.ids['enrolment_id']}/end", json=body)
        await heard()

    async def cancel() -> None:
        lessons = (await school.ask("academic", "GET", f"/lessons?day={school.today}"))["items"]
        lesson = next(each for each in lessons if each["id"] == school.ids["lesson_id"])
        body = {"version": lesson["version"], "is_cancelled": True}
        await school.ask("academic", "PATCH", f"/lessons/{lesson['id']}", json=body)
        await heard()

    async def correct() -> None:
        path = f"/lessons/{school.ids['lesson_id']}/register"
        version = (await school.ask("academic", "GET", path, Role.TEACHER))["version"]
        marks = [{"student_id": school.ids["student_id"], "code": "P"}]
        body = {"version": version, "marks": marks, "reason": "was in the library"}
        await school.ask("academic", "PUT", path, Role.TEACHER, json=body)
        await heard()

    async def refuse() -> None:
        path = f"/absence-reports/{school.ids['absence_report_id']}"
        body = {"version": (await school.ask("academic", "GET", path))["version"], "state": "refused"}
        await school.ask("academic", "PUT", f"{path}/decision", json=body)
        await heard()

    return {
        "students": rename,
        "guardian_links": unlink,
        "classes": leave,
        "absence_reports": refuse,
        "registers": correct,
        "lessons": cancel,
    } | changes_of_announcements(school)


def changes_of_announcements(school: FilledSchool) -> dict[str, Callable[[], Awaitable[None]]]:
    path = f"/announcements/{school.ids['announcement_id']}"

    async def withdraw() -> None:
        written = await school.ask("communication", "GET", f"/announcements/written/{school.ids['announcement_id']}")
        await school.ask("communication", "POST", f"{path}/withdraw", json={"version": written["version"]})
        await school.house.carry_events(school.school_id)

    async def read() -> None:
        await school.ask("communication", "POST", f"{path}/read")
        await school.house.carry_events(school.school_id)

    return {"announcements": withdraw, "receipts": read}


async def changed_meanwhile(school: FilledSchool, kind: str) -> tuple[Any, Any]:
    """What is kept after a rebuild during which there was news, and what its owner has."""
    await make_anew(school, Owners(school.house, {kind: changes_of(school)[kind]}))
    kept = rows(school)
    forget_everything(school)
    await make_anew(school, Owners(school.house))
    return kept, rows(school)


KINDS = [
    *("students", "guardian_links", "classes", "absence_reports", "registers", "lessons"),
    *("announcements", "receipts"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_told_meanwhile_wins_over_an_older_page(school: FilledSchool, kind: str) -> None:
    before = rows(school)

    kept, owned = await changed_meanwhile(school, kind)

    assert kept == owned
    assert kept != before


@pytest.mark.parametrize("kind", KINDS)
async def test_control_without_versions_an_older_page_would_win(
    school: FilledSchool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SAVE_CLASS", "SAVE_PLAN"):
        monkeypatch.setattr(queries, name, getattr(queries, name).replace(queries.IF_NEWS, ""))
    blind = {event: statement.replace(queries.IF_NEWS, "") for event, statement in queries.STATEMENT_OF.items()}
    monkeypatch.setattr(queries, "STATEMENT_OF", blind)

    kept, owned = await changed_meanwhile(school, kind)

    assert kept != owned


async def test_an_owner_that_falls_silent_takes_nothing_away(school: FilledSchool) -> None:
    before, kept = await shown(school), rows(school)

    async def falls_silent() -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        await make_anew(school, Owners(school.house, {"guardian_links": falls_silent}))

    assert rows(school) == kept
    assert await shown(school) == before


async def test_other_schools_are_left_alone(school: FilledSchool, house: House) -> None:
    other = await FilledSchool(house, f"Q{new_id().hex[-6:]}").fill()
    run(other, *WRECK)
    wrecked = rows(other)

    await make_anew(school, Owners(house))

    assert rows(other) == wrecked


async def test_a_school_that_is_not_here_is_not_made(house: House) -> None:
    database = house.services["school"].worker.database

    assert await rebuild(database, Owners(house), named(house), new_id()) is None


SNAPSHOTS = {
    "academic": "kind=students&day={day}",
    "communication": "kind=receipts",
    "notification": "day={day}",
}


def snapshot_of(owner: str, school: FilledSchool) -> str:
    return f"/internal/snapshot?school_id={school.school_id}&{SNAPSHOTS[owner].format(day=school.today)}"


@pytest.mark.parametrize("owner", SNAPSHOTS)
@pytest.mark.parametrize("service", ["auth", "academic", "communication", "notification"])
async def test_who_keeps_no_copy_gets_no_snapshot(house: House, school: FilledSchool, owner: str, service: str) -> None:
    path = snapshot_of(owner, school)

    assert (await house.send(owner, "GET", path)).status_code == 401
    headers = {"Authorization": f"Bearer {school.token(Role.SCHOOL_ADMIN)}"}
    assert (await house.send(owner, "GET", path, headers=headers)).status_code == 401
    answer = await house.send(owner, "GET", path, headers=house.tokens.service_headers(service))
    assert answer.status_code == 403


@pytest.mark.parametrize("owner", SNAPSHOTS)
async def test_a_snapshot_comes_page_by_page(house: House, school: FilledSchool, owner: str) -> None:
    headers = house.tokens.service_headers("school")
    whole = (await house.send(owner, "GET", snapshot_of(owner, school), headers=headers)).json()
    path: str | None = f"{snapshot_of(owner, school)}&limit=1"
    found: list[Any] = []
    while path:
        answer = (await house.send(owner, "GET", path, headers=headers)).json()
        found += answer["items"]
        path = answer["next"]

    assert whole["next"] is None
    assert found == whole["items"]
    assert found


async def test_a_snapshot_of_receipts_is_of_staff(house: House, school: FilledSchool) -> None:
    """What families read is told to no other service."""
    headers = house.tokens.service_headers("school")
    receipts = (await house.send("communication", "GET", snapshot_of("communication", school), headers=headers)).json()

    assert {each["data"]["role"] for each in receipts["items"]} == {Role.SCHOOL_ADMIN, Role.TEACHER}
