"""Writing, editing, sending and withdrawing over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.communication.announcements import queries
from services.communication.roster import queries as roster
from services.communication.tests.announcing import GUARDIANS, STUDENTS, Board, Who, of_class
from services.communication.tests.factories import School, member
from shared import clock
from shared.identity import Role
from shared.ids import new_id
from shared.testing.races import held_up_or_done

AUDIENCE = {"include": [GUARDIANS]}
DRAFT = {"title": "Snow", "body": "No school.", "audience": AUDIENCE}
ID = "01890000-0000-7000-8000-000000000000"
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "", DRAFT),
    ("POST", "/preview", {"audience": AUDIENCE}),
    ("GET", "/written", {}),
    ("GET", f"/written/{ID}", {}),
    ("PATCH", f"/{ID}", {"version": 1}),
    ("POST", f"/{ID}/send", {"version": 1}),
    ("POST", f"/{ID}/call-back", {"version": 1}),
    ("POST", f"/{ID}/withdraw", {}),
    ("GET", f"/{ID}/receipts", {}),
    ("GET", f"/{ID}/recipients", {}),
    ("GET", "", {}),
    ("GET", f"/{ID}", {}),
    ("POST", f"/{ID}/read", {}),
]
OF_AUTHORS = OPERATIONS[:10]


def on_the_clock(board: Board, *, minutes: int) -> str:
    local = clock.now().astimezone(ZoneInfo(board.school.time_zone)) + timedelta(minutes=minutes)
    return local.replace(tzinfo=None, microsecond=0).isoformat()


async def a_school_day(board: Board) -> None:
    await board.school.guardian(await board.school.student())


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
async def test_nobody_comes_in_without_a_token(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await client.request(method, f"/api/v1/announcements{path}", json=body or None)

    assert answer.status_code == 401


@pytest.mark.parametrize("role", [Role.GUARDIAN, Role.STUDENT, Role.PLATFORM_ADMIN])
@pytest.mark.parametrize(("method", "path", "body"), OF_AUTHORS)
async def test_announcements_are_written_by_those_who_work_at_the_school(
    board: Board, method: str, path: str, body: dict[str, Any], role: str
) -> None:
    assert (await board.ask(method, path, Who(role, person_id=new_id()), **body)).status_code == 403


async def test_the_platform_reads_none(board: Board) -> None:
    for method, path, body in OPERATIONS[10:]:
        assert (await board.ask(method, path, Who(Role.PLATFORM_ADMIN), **body)).status_code == 403


async def test_a_teachers_login_without_a_teacher_writes_nothing(board: Board) -> None:
    assert (await board.ask("POST", "", board.teacher(None), **DRAFT)).status_code == 403


async def test_what_another_school_announces_is_not_there(board: Board) -> None:
    await a_school_day(board)
    made = await board.sent(GUARDIANS)
    other = Board(School(board.school.client, board.school.worker, board.school.tokens), board.stack)
    paths = [(method, path.replace(ID, made), body) for method, path, body in OPERATIONS if ID in path]

    answers = [await other.ask(method, path, **body) for method, path, body in paths]

    assert {each.status_code for each in answers} == {404}
    assert (await other.did("GET", "/written"))["items"] == []
    assert (await board.written(made))["state"] == "sent"


async def test_a_draft_is_seen_by_its_authors_only(board: Board) -> None:
    ada = await board.school.student()
    anne = board.guardian(await board.school.guardian(ada))

    answer = await board.ask("POST", "", **DRAFT)

    assert answer.status_code == 201
    made = answer.json()
    assert (made["state"], made["version"], made["edition"], made["sent_at"]) == ("draft", 1, 1, None)
    assert made["audience"] == {**AUDIENCE, "exclude": []}
    await board.work()
    assert not await board.sees(anne, made["announcement_id"])
    assert await board.titles(anne) == []
    assert await board.written(made["announcement_id"]) == made


async def test_a_teacher_manages_what_they_wrote_and_nothing_else(board: Board) -> None:
    school = board.school
    ada, teacher, colleague = await school.student(), await school.teacher(), await school.teacher()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"), member(colleague, "teacher"))
    author, other = board.teacher(teacher), board.teacher(colleague)
    own = (await board.draft(of_class(class_id, "student"), who=author))["announcement_id"]
    offices = (await board.draft(STUDENTS))["announcement_id"]
    same_login = Who(Role.TEACHER, person_id=colleague, user_id=board.office.user_id)

    for who, id_ in ((other, own), (author, offices), (same_login, offices)):
        paths = [(method, path.replace(ID, id_), body) for method, path, body in OF_AUTHORS if ID in path]
        assert {(await board.ask(method, path, who, **body)).status_code for method, path, body in paths} == {404}
    assert [each["announcement_id"] for each in (await board.did("GET", "/written", author))["items"]] == [own]
    assert (await board.did("GET", "/written", other))["items"] == []
    assert {each["announcement_id"] for each in (await board.did("GET", "/written"))["items"]} == {own, offices}
    await board.did("PATCH", f"/{own}", author, version=1, title="Ice")


async def test_only_the_office_breaks_quiet_hours(board: Board) -> None:
    school = board.school
    ada, teacher = await school.student(), await school.teacher()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    audience = {"include": [of_class(class_id, "student")]}
    body = {**DRAFT, "audience": audience, "is_urgent": True}

    assert (await board.ask("POST", "", board.teacher(teacher), **body)).status_code == 403
    assert (await board.did("POST", "", **body))["is_urgent"]


async def test_the_office_cannot_widen_what_a_teacher_wrote(board: Board) -> None:
    school = board.school
    ada, teacher = await school.student(), await school.teacher()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    own = (await board.draft(of_class(class_id, "student"), who=board.teacher(teacher)))["announcement_id"]

    answer = await board.ask("PATCH", f"/{own}", version=1, audience=AUDIENCE)

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "field",
    [
        {"title": ""},
        {"title": "\u200b"},
        {"title": "a\u0000b"},
        {"title": "a" * 201},
        {"body": ""},
        {"body": " \n"},
        {"body": "a\u0000b"},
        {"body": "a" * 10_001},
        {"audience": {"include": []}},
        {"audience": {"include": [{"kind": "planet"}]}},
        {"audience": {"include": [{**GUARDIANS, "grade": "1"}]}},
        {"audience": {"include": [{"kind": "grade", "grade": "1", "who": []}]}},
        {"audience": {"include": [GUARDIANS] * 201}},
        {"pinned_until": "2026-01-01T00:00:00"},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_what_cannot_be_read_is_refused(board: Board, field: dict[str, Any]) -> None:
    assert (await board.ask("POST", "", **{**DRAFT, **field})).status_code == 400


async def test_a_title_that_says_nothing_is_refused_in_words(board: Board) -> None:
    refused = await board.ask("POST", "", **{**DRAFT, "title": "\u200b"})

    assert refused.status_code == 400
    assert refused.json()["errors"] == [{"pointer": "/title", "detail": "Must be one line that says something."}]


@pytest.mark.parametrize("end", ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("name", ["pinned_until", "expires_at"])
async def test_an_end_that_is_over_or_too_far_is_refused(board: Board, name: str, end: str) -> None:
    answer = await board.ask("POST", "", **{**DRAFT, name: end})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-such-end")


async def test_a_change_over_a_newer_one_is_refused(board: Board) -> None:
    made = (await board.draft(GUARDIANS))["announcement_id"]
    await board.did("PATCH", f"/{made}", version=1, title="Ice")

    stale = [
        await board.ask("PATCH", f"/{made}", version=1, title="Fog"),
        await board.ask("POST", f"/{made}/send", version=1),
        await board.ask("POST", f"/{made}/call-back", version=1),
    ]

    assert {(each.status_code, each.json()["type"]) for each in stale} == {(409, "/problems/stale-announcement")}
    assert (await board.written(made))["title"] == "Ice"


async def test_an_edit_races_with_the_sending_and_is_told(board: Board) -> None:
    """Who edits what they think still waits must hear that it went out."""
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    waiting = await board.did("POST", f"/{made}/send", version=1)
    await board.work()

    answer = await board.ask("PATCH", f"/{made}", version=waiting["version"], title="Ice")

    assert answer.status_code == 409


async def test_an_announcement_waits_for_its_time_on_the_schools_clock(board: Board) -> None:
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    at = on_the_clock(board, minutes=90)

    waiting = await board.did("POST", f"/{made}/send", version=1, at=at)

    assert (waiting["state"], waiting["send_at_local"]) == ("scheduled", at)
    expected = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(board.school.time_zone)).astimezone(UTC)
    assert datetime.fromisoformat(waiting["send_at"]) == expected
    await board.work()
    assert (await board.written(made))["state"] == "scheduled"
    assert board.told(made) == []


@pytest.mark.parametrize(
    "at", ["2020-01-01T07:30:00", "2026-01-01T07:30:00Z", "9999-12-31T23:59:59", "0001-01-01T00:00:00", "soon"]
)
async def test_a_time_that_makes_no_sense_is_refused(board: Board, at: str) -> None:
    made = (await board.draft(GUARDIANS))["announcement_id"]

    assert (await board.ask("POST", f"/{made}/send", version=1, at=at)).status_code in {400, 422}


async def test_a_school_that_changes_its_zone_keeps_the_time_on_its_clock(board: Board) -> None:
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    at = on_the_clock(board, minutes=60 * 24 * 3)
    before = await board.did("POST", f"/{made}/send", version=1, at=at)

    await board.school.named(version=2, time_zone="America/Los_Angeles")

    after = await board.written(made)
    assert after["send_at_local"] == at
    moved = datetime.fromisoformat(after["send_at"]) - datetime.fromisoformat(before["send_at"])
    assert moved == timedelta(hours=3)
    await board.did("PATCH", f"/{made}", version=after["version"], title="Still editable")


async def sent_while_the_zone_changes(board: Board, monkeypatch: pytest.MonkeyPatch) -> tuple[datetime, datetime]:
    """When it goes out, and when it should: the change comes after the sending has looked at the clock."""
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    at = on_the_clock(board, minutes=60 * 24 * 3)
    save, changes = queries.save_announcement, list[asyncio.Task[None]]()

    async def save_with_the_change(*args: Any, **how: Any) -> None:
        if not changes:
            changes.append(asyncio.create_task(board.school.named(version=2, time_zone="America/Los_Angeles")))
            await held_up_or_done(board.stack, changes[0])
        await save(*args, **how)

    monkeypatch.setattr(queries, "save_announcement", save_with_the_change)
    async with asyncio.timeout(60):
        await board.did("POST", f"/{made}/send", version=1, at=at)
        await changes[0]
    meant = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("America/Los_Angeles"))
    return datetime.fromisoformat((await board.written(made))["send_at"]), meant


async def test_a_zone_that_changes_while_it_is_sent_is_the_one_it_goes_out_by(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_at, meant = await sent_while_the_zone_changes(board, monkeypatch)

    assert send_at == meant


async def test_control_a_zone_that_nobody_holds_leaves_the_old_time(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "HELD_TIME_ZONE", roster.TIME_ZONE)

    send_at, meant = await sent_while_the_zone_changes(board, monkeypatch)

    assert send_at == meant - timedelta(hours=3)


async def changed_twice_at_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> tuple[datetime, datetime]:
    """When it goes out, and when it should: a zone that was a mistake is corrected before it is saved."""
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    at = on_the_clock(board, minutes=60 * 24 * 3)
    before = await board.did("POST", f"/{made}/send", version=1, at=at)
    zone, save, changes = board.school.time_zone, roster.save_school, list[asyncio.Task[None]]()

    async def save_beside_the_next(*args: Any, **how: Any) -> bool:
        is_news = await save(*args, **how)
        if not changes:
            changes.append(asyncio.create_task(board.school.named(version=3, time_zone=zone)))
            await held_up_or_done(board.stack, changes[0])
        return is_news

    monkeypatch.setattr(roster, "save_school", save_beside_the_next)
    async with asyncio.timeout(60):
        await board.school.named(version=2, time_zone="America/Los_Angeles")
        await changes[0]
    return tuple(datetime.fromisoformat(each["send_at"]) for each in (await board.written(made), before))


async def test_a_zone_that_was_a_mistake_and_is_corrected_at_once_leaves_the_time_as_it_was(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_at, meant = await changed_twice_at_once(board, monkeypatch)

    assert send_at == meant


async def test_control_a_correction_that_does_not_wait_leaves_the_mistake(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "TIME_ZONE_TO_CHANGE", roster.TIME_ZONE)

    send_at, meant = await changed_twice_at_once(board, monkeypatch)

    assert send_at == meant + timedelta(hours=3)


async def test_a_zone_far_enough_east_sends_at_once(board: Board) -> None:
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    await board.did("POST", f"/{made}/send", version=1, at=on_the_clock(board, minutes=120))

    await board.school.named(version=2, time_zone="Pacific/Kiritimati")
    await board.work()

    assert (await board.written(made))["state"] == "sent"
    assert len(board.told(made)) == 1


async def test_what_waits_can_be_called_back_and_sent_anew(board: Board) -> None:
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    await board.did("POST", f"/{made}/send", version=1, at=on_the_clock(board, minutes=90))

    draft = await board.did("POST", f"/{made}/call-back", version=2)
    again = await board.ask("POST", f"/{made}/call-back", version=3)
    await board.did("POST", f"/{made}/send", version=3)
    await board.work()

    assert (draft["state"], draft["send_at"], draft["send_at_local"]) == ("draft", None, None)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/not-scheduled")
    assert len(board.told(made)) == 1


async def test_nothing_is_sent_twice(board: Board) -> None:
    await a_school_day(board)
    made = await board.sent(GUARDIANS)
    version = (await board.written(made))["version"]

    answer = await board.ask("POST", f"/{made}/send", version=version)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-to-be-sent")


async def test_an_announcement_to_nobody_is_not_sent(board: Board) -> None:
    made = (await board.draft(GUARDIANS))["announcement_id"]

    answer = await board.ask("POST", f"/{made}/send", version=1)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/nobody-to-tell")
    assert (await board.written(made))["state"] == "draft"


@pytest.mark.parametrize("name", ["pinned_until", "expires_at"])
async def test_what_would_be_over_is_not_sent(board: Board, name: str) -> None:
    await a_school_day(board)
    soon = (clock.now() + timedelta(minutes=30)).isoformat()
    made = (await board.draft(GUARDIANS, **{name: soon}))["announcement_id"]

    answer = await board.ask("POST", f"/{made}/send", version=1, at=on_the_clock(board, minutes=45))

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-such-end")


@pytest.mark.parametrize("name", ["pinned_until", "expires_at"])
async def test_what_waits_cannot_be_made_to_end_before_it_goes_out(board: Board, name: str) -> None:
    """It would be held when nobody looks, or never stand first."""
    await a_school_day(board)
    made = (await board.draft(GUARDIANS))["announcement_id"]
    await board.did("POST", f"/{made}/send", version=1, at=on_the_clock(board, minutes=45))

    soon, later = ((clock.now() + timedelta(minutes=minutes)).isoformat() for minutes in (30, 60))
    refused = await board.ask("PATCH", f"/{made}", version=2, **{name: soon})
    kept = await board.did("PATCH", f"/{made}", version=2, **{name: later})

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/no-such-end")
    assert refused.json()["errors"][0]["pointer"] == f"/{name}"
    assert kept["state"] == "scheduled"


async def test_what_was_withdrawn_is_over(board: Board) -> None:
    made = (await board.draft(GUARDIANS))["announcement_id"]

    first = await board.did("POST", f"/{made}/withdraw")
    again = await board.did("POST", f"/{made}/withdraw")

    assert (first["state"], again) == ("withdrawn", first)
    assert (await board.ask("PATCH", f"/{made}", version=2, title="Ice")).status_code == 409
    assert (await board.ask("POST", f"/{made}/send", version=2)).status_code == 409
    assert board.withdrawals(made) == 0


async def test_what_was_written_comes_in_pages_and_by_state(board: Board) -> None:
    made = [(await board.draft(GUARDIANS, title=f"{number}"))["announcement_id"] for number in range(5)]
    await board.did("POST", f"/{made[2]}/withdraw")

    path: str | None = "/written?limit=2"
    found: list[str] = []
    while path:
        page = await board.did("GET", path)
        found += [each["announcement_id"] for each in page["items"]]
        path = page["next"] and page["next"].removeprefix("/api/v1/announcements")
    withdrawn = (await board.did("GET", "/written?state=withdrawn"))["items"]

    assert found == made[::-1]
    assert [each["announcement_id"] for each in withdrawn] == [made[2]]
    lost = await board.ask("GET", "/written?state=lost")
    assert (lost.status_code, lost.json()["errors"][0]["pointer"]) == (400, "query/state")
