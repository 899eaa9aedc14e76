"""With 200 schools and 100,000 students no hot question reads what belongs to others (bar B31)."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from shared.database import Database
from shared.identity import Role
from tests.plans.crowded import OURS, PLAN_CACHE_MODES, TODAY, Crowded, plans_of
from tests.plans.explained import explain_for, faults, recorded
from tests.plans.fill import CLASS, GUARDIAN, LESSON, OTHER, STUDENT, an_id, school_id
from tools.stack import ROOT
from tools.topology import SERVICE_NAMES

pytestmark = pytest.mark.timeout(600)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and one of the same kind for fewer records: both must cost as many statements."""

    service: str
    role: Role
    path: str
    fewer: str | None = None
    walks: str | None = None
    """Why it may look at every record of its own school; never at those of others."""


YESTERDAY = TODAY - timedelta(days=1)
STUDENT_PATH = f"/students/{an_id(STUDENT, OURS, 1)}"
LESSON_PATH = f"/lessons/{an_id(LESSON, OURS, 101)}"
CLASS_ID = an_id(CLASS, OURS, 1)
ANNOUNCEMENT = an_id(OTHER, OURS, 1)
CONTACTS = f"/contacts?class_id={CLASS_ID}"
OFFICE, TEACHES, GUARDS, LEARNS = Role.SCHOOL_ADMIN, Role.TEACHER, Role.GUARDIAN, Role.STUDENT


def asked(service: str, role: Role, path: str, fewer: str | None = None, walks: str | None = None) -> Asked:
    return Asked(service=service, role=role, path=path, fewer=fewer, walks=walks)


HOT = (
    asked("academic", OFFICE, "/students?limit=50", "/students?limit=2"),
    asked("academic", OFFICE, "/students?grade=3&limit=50", "/students?grade=3&limit=2"),
    asked("academic", OFFICE, f"/students?class_id={CLASS_ID}&limit=50", f"/students?class_id={CLASS_ID}&limit=2"),
    asked("academic", OFFICE, "/students?name=family%204&limit=50", walks="a name may begin either way"),
    asked("academic", OFFICE, STUDENT_PATH),
    asked("academic", OFFICE, f"{STUDENT_PATH}/guardians"),
    asked("academic", OFFICE, "/teachers?limit=50", "/teachers?limit=2"),
    asked("academic", OFFICE, "/guardians?limit=50", "/guardians?limit=2"),
    asked("academic", OFFICE, "/guardian-links?limit=50", "/guardian-links?limit=2"),
    asked("academic", OFFICE, f"/guardian-links?student_id={an_id(STUDENT, OURS, 1)}"),
    asked("academic", OFFICE, f"/guardian-links?guardian_id={an_id(GUARDIAN, OURS, 1)}"),
    asked("academic", OFFICE, "/classes?limit=50", "/classes?limit=2"),
    asked("academic", OFFICE, f"/lessons?day={YESTERDAY}"),
    asked("academic", TEACHES, "/classes?limit=50"),
    asked("academic", TEACHES, f"/classes/{CLASS_ID}"),
    asked("academic", TEACHES, f"/enrolments?class_id={CLASS_ID}&limit=50", f"/enrolments?class_id={CLASS_ID}&limit=2"),
    asked("academic", TEACHES, "/students?limit=50", "/students?limit=2"),
    asked("academic", TEACHES, f"/lessons?day={TODAY}"),
    asked("academic", TEACHES, LESSON_PATH),
    asked("academic", TEACHES, f"{LESSON_PATH}/register"),
    asked("academic", TEACHES, f"{LESSON_PATH}/register/history"),
    asked("academic", TEACHES, f"{STUDENT_PATH}/day?day={YESTERDAY}"),
    asked("academic", TEACHES, f"{STUDENT_PATH}/attendance"),
    asked("academic", GUARDS, "/students"),
    asked("academic", GUARDS, f"{STUDENT_PATH}/attendance"),
    asked("academic", GUARDS, f"/lessons?day={TODAY}&student_id={an_id(STUDENT, OURS, 1)}"),
    asked("academic", LEARNS, f"/lessons?day={TODAY}"),
    asked("communication", TEACHES, f"{CONTACTS}&limit=50", f"{CONTACTS}&limit=2"),
    asked("notification", GUARDS, "/inbox?limit=50", "/inbox?limit=1"),
    asked("notification", GUARDS, "/inbox?unread=true"),
    asked("notification", GUARDS, "/inbox/unread-count"),
    asked("notification", OFFICE, "/deliveries?limit=50", "/deliveries?limit=2"),
    asked("notification", OFFICE, f"/deliveries?day={YESTERDAY}&limit=50"),
    asked("notification", OFFICE, "/deliveries?state=failed&limit=50"),
    asked("notification", OFFICE, f"/deliveries?student_id={an_id(STUDENT, OURS, 1)}"),
    asked("notification", OFFICE, f"/deliveries/{an_id(OTHER, OURS, 101)}"),
    asked("academic", OFFICE, "/absence-reports?limit=50", "/absence-reports?limit=2"),
    asked("academic", OFFICE, f"/absence-reports?day={TODAY}&limit=50", walks="spells of any length may touch a day"),
    asked("academic", OFFICE, "/absence-reports?state=pending&limit=50"),
    asked("academic", GUARDS, "/absence-reports?limit=50"),
    asked("academic", OFFICE, "/missing-registers?limit=50", "/missing-registers?limit=2"),
    asked("academic", TEACHES, "/missing-registers?limit=50", walks="the lessons of a week, most of which are saved"),
    asked("communication", GUARDS, "/announcements?limit=20", "/announcements?limit=2"),
    asked("communication", GUARDS, "/announcements?unread=true"),
    asked("communication", GUARDS, f"/announcements/{ANNOUNCEMENT}"),
    asked("communication", OFFICE, "/announcements/written?limit=20"),
    asked("communication", OFFICE, f"/announcements/{ANNOUNCEMENT}/receipts"),
    asked("communication", OFFICE, f"/announcements/{ANNOUNCEMENT}/recipients?limit=50"),
    asked("communication", TEACHES, "/files?limit=20", "/files?limit=2"),
    asked("communication", OFFICE, "/files?limit=20"),
    asked("notification", GUARDS, "/notification-preferences"),
    asked("auth", OFFICE, "/invites?limit=50", "/invites?limit=2"),
    asked("school", OFFICE, "/today", walks="it counts the day of the whole school"),
    asked("school", TEACHES, "/today"),
    asked("school", GUARDS, "/today"),
    asked("school", LEARNS, "/today"),
    asked("school", OFFICE, "/school"),
    asked("school", OFFICE, "/calendar-days?limit=50", "/calendar-days?limit=2"),
    asked("school", OFFICE, "/grade-days?limit=50", "/grade-days?limit=2"),
    asked("school", OFFICE, "/rooms?limit=50", "/rooms?limit=2"),
    asked("school", OFFICE, "/academic-sessions?limit=50"),
    asked("school", OFFICE, "/bell-schedules"),
    asked("school", OFFICE, "/rotation-days?limit=50"),
    asked("academic", OFFICE, "/courses?limit=50"),
    asked("academic", OFFICE, "/timetable-clashes?limit=50"),
    asked("academic", TEACHES, "/attendance-codes"),
    asked("academic", TEACHES, "/grades", walks="it counts the students of the whole school"),
    asked("communication", OFFICE, f"/announcements/written/{ANNOUNCEMENT}"),
    asked("communication", OFFICE, "/files/usage", walks="it counts the bytes of the whole school"),
    asked("notification", OFFICE, "/notification-policy"),
)
BY_KEY, FEW, REBUILD = (
    "one record by its key",
    "asked by the few who run the platform",
    "asked when a read model is made",
)
COLD = {
    "list_signing_keys": "a handful of keys, and remembered by who asks",
    "show_me": "read as signing in does, which tests/plans/test_unasked.py looks at",
    "list_districts": FEW,
    "list_schools": FEW,
    "list_imports": FEW,
    "show_import": BY_KEY,
    "show_rotation": BY_KEY,
    "show_absence_report": BY_KEY,
    "show_absence_report_history": BY_KEY,
    "show_guardian_link_history": BY_KEY,
    "show_announcement_file": BY_KEY,
    "show_file": BY_KEY,
    "show_file_download": BY_KEY,
    "show_file_upload": BY_KEY,
    "stream_inbox": "begins with the list and the count of the inbox",
    "snapshot_schools": REBUILD,
    "show_snapshot": REBUILD,
    "show_announcement_snapshot": REBUILD,
    "show_delivery_snapshot": REBUILD,
}
"""Questions whose plans nobody looks at, and why not."""


def questions(service: str) -> dict[str, re.Pattern[str]]:
    """The paths of whatever is read there, by operation."""
    document = json.loads((ROOT / "services" / service / "openapi.json").read_text())
    return {
        operations["get"]["operationId"]: re.compile(re.sub(r"\{[^}]+\}", "[0-9a-f-]{36}", path))
        for path, operations in document["paths"].items()
        if "get" in operations
    }


def is_hot(service: str, path: re.Pattern[str]) -> bool:
    return any(path.fullmatch(f"/api/v1{each.path.partition('?')[0]}") for each in asked_of(service))


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_every_question_is_looked_at_or_said_to_be_cold(service: str) -> None:
    cold = {operation for operation, path in questions(service).items() if not is_hot(service, path)}

    assert cold - COLD.keys() == set(), "ask them in HOT, or say in COLD why nobody needs to look"


def test_what_is_said_to_be_cold_is_not_looked_at() -> None:
    cold = {each for name in SERVICE_NAMES for each, path in questions(name).items() if not is_hot(name, path)}

    assert COLD.keys() - cold == set()


def asked_of(service: str) -> list[Asked]:
    return [each for each in HOT if each.service == service]


async def count_of(client: httpx.AsyncClient, headers: dict[str, str], path: str) -> int:
    """The second time: a new connection hears of its first statement only when it is under way."""
    await plans_of(client, headers, path)
    return len(await plans_of(client, headers, path))


@pytest.mark.parametrize("mode", PLAN_CACHE_MODES)
@pytest.mark.parametrize("service", sorted({each.service for each in HOT}))
async def test_no_question_reads_what_belongs_to_others(crowded: Crowded, service: str, mode: str) -> None:
    found: list[str] = []
    async with crowded.client(service, mode) as client:
        for each in asked_of(service):
            plans = await plans_of(client, crowded.headers(each.role), each.path)
            assert plans, each.path
            found += [
                f"{each.role} {each.path}: {fault}"
                for plan in plans
                for fault in faults(plan, rows_of=crowded.rows_of, schema=service, walks=bool(each.walks))
            ]

    assert found == [], "\n\n".join(found)


async def test_a_long_list_costs_as_many_statements_as_a_short_one(crowded: Crowded) -> None:
    more: list[str] = []
    for service in sorted({each.service for each in HOT if each.fewer}):
        async with crowded.client(service, "auto") as client:
            for each in asked_of(service):
                if each.fewer:
                    headers = crowded.headers(each.role)
                    short = await count_of(client, headers, each.fewer)
                    long = await count_of(client, headers, each.path)
                    if short != long:
                        more.append(f"{each.path}: {short} statements for few, {long} for many")

    assert more == []


async def test_a_register_is_taken_by_the_indexes(crowded: Crowded) -> None:
    headers = crowded.headers(TEACHES)
    path = f"/api/v1/lessons/{an_id(LESSON, OURS, 101)}/register"
    async with crowded.client("academic", "force_generic_plan") as client:
        register = (await client.get(path, headers=headers)).json()
        marks = [{"student_id": line["student_id"], "code": "A"} for line in register["lines"]]
        with recorded() as plans:
            answer = await client.put(
                path, headers=headers, json={"version": register["version"], "marks": marks, "reason": "Fire drill"}
            )

    assert answer.status_code == 200, answer.text
    assert any("INSERT INTO attendance_mark" in plan.statement for plan in plans)
    found = [fault for plan in plans for fault in faults(plan, rows_of=crowded.rows_of, schema="academic")]
    assert found == [], "\n\n".join(found)


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        ("academic", "SELECT id FROM lesson WHERE room = 'nowhere' ORDER BY id LIMIT 10"),
        ("auth", "SELECT session_id FROM refresh_token WHERE generation = 99 ORDER BY session_id LIMIT 10"),
    ],
    ids=["a filter that no index serves", "a table read as a whole"],
)
async def test_control_a_question_without_an_index_is_seen(crowded: Crowded, service: str, statement: Any) -> None:
    explain_for(crowded.admin_url, f"{service}_app", plan_cache_mode="auto")
    async with Database(crowded.settings(service)) as database:
        with recorded() as plans:
            await database.reader(school_id=school_id(OURS)).value(UUID, statement)

    assert [fault for plan in plans for fault in faults(plan, rows_of=crowded.rows_of, schema=service)]


def test_the_database_is_as_large_as_promised(crowded: Crowded) -> None:
    students = crowded.rows_of["academic.student"]
    marks = crowded.rows_of["academic.attendance_mark"]

    assert round(students, -3) == 100_000
    assert marks >= 900_000
    assert {each.service for each in HOT} == set(SERVICE_NAMES)
