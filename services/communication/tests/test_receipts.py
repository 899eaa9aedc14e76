"""Reading, and who has read."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.communication.app import create_app
from services.communication.receipts.routes import read_announcement
from services.communication.settings import Settings
from services.communication.tests.announcing import GUARDIANS, STUDENTS, Board, Who, of_class
from services.communication.tests.factories import member
from shared import clock
from shared.identity import Role
from shared.testing.http import client_of
from shared.testing.tokens import Tokens


def later(**how: int) -> str:
    return (clock.now() + timedelta(**how)).isoformat()


async def test_a_reader_sees_what_they_received_the_newest_first(board: Board) -> None:
    ada = await board.school.student()
    anne = await board.school.guardian(ada, given_name="Anne")
    for title in ("First", "Second"):
        await board.sent(GUARDIANS, title=title)
    await board.sent(STUDENTS, title="For students")

    (second, first) = (await board.did("GET", "", board.guardian(anne)))["items"]

    assert (second["title"], first["title"]) == ("Second", "First")
    assert second["student_ids"] == [str(ada)]
    assert (second["author_name"], second["read_at"], second["is_pinned"], second["edited_at"]) == (
        None,
        None,
        False,
        None,
    )
    assert await board.did("GET", f"/{first['announcement_id']}", board.guardian(anne)) == first


async def test_everybody_of_the_school_may_be_a_reader(board: Board) -> None:
    school = board.school
    ada, teacher = await school.student(), await school.teacher()
    anne, office = await school.guardian(ada), await school.admin()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    readers = [
        board.student(ada),
        board.teacher(teacher),
        board.guardian(anne),
        Who(Role.SCHOOL_ADMIN, user_id=office),
    ]

    made = await board.sent(of_class(class_id, "student", "guardian", "teacher"), {"kind": "role", "role": "staff"})

    assert [await board.sees(who, made) for who in readers] == [True] * 4
    assert not await board.sees(board.office, made)
    assert not await board.sees(Who(Role.TEACHER, user_id=office), made)


async def test_a_teachers_name_stands_above_what_they_wrote(board: Board) -> None:
    ada, teacher = await board.school.student(), await board.school.teacher()
    class_id = await board.school.school_class(member(ada), member(teacher, "teacher"))

    made = await board.sent(of_class(class_id, "student"), who=board.teacher(teacher))

    assert (await board.did("GET", f"/{made}", board.student(ada)))["author_name"] == "Mary Somerville"


async def test_pinned_ones_come_first_until_they_are_no_longer_and_pages_hold_each_once(board: Board) -> None:
    ada = board.student(await board.school.student())
    ids = [
        await board.sent(STUDENTS, title=str(number), **({"pinned_until": later(days=1)} if number in {1, 3} else {}))
        for number in range(6)
    ]

    path: str | None = "?limit=2"
    found: list[str] = []
    while path is not None:
        page = await board.did("GET", path, ada)
        found += [each["title"] for each in page["items"]]
        path = page["next"] and page["next"].removeprefix("/api/v1/announcements")
    await board.edit(ids[3], pinned_until=None)

    assert found == ["3", "1", "5", "4", "2", "0"]
    assert await board.titles(ada) == ["1", "5", "4", "3", "2", "0"]


async def test_what_expired_is_no_longer_listed_and_still_readable(board: Board) -> None:
    ada = board.student(await board.school.student())
    made = await board.sent(STUDENTS, expires_at=later(hours=1))
    assert await board.titles(ada) == ["Snow"]
    async with board.school.worker.database.transaction(school_id=board.school.school_id) as tx:
        await tx.execute(
            "UPDATE announcement SET expires_at = %(now)s WHERE announcement_id = %(id)s", now=clock.now(), id=made
        )

    assert await board.titles(ada) == []
    assert await board.sees(ada, made)
    assert (await board.did("GET", "/written"))["items"][0]["announcement_id"] == made


async def test_reading_is_remembered_once(board: Board) -> None:
    ada = board.student(await board.school.student())
    made = await board.sent(STUDENTS)
    await board.sent(STUDENTS, title="Unread")

    first = await board.did("POST", f"/{made}/read", ada)
    again = await board.did("POST", f"/{made}/read", ada)

    assert first["read_at"] is not None
    assert again == first
    assert await board.titles(ada, "?unread=true") == ["Unread"]
    assert len(await board.titles(ada)) == 2


async def test_an_edit_that_was_told_is_unread_again_a_silent_one_is_not(board: Board) -> None:
    ada = board.student(await board.school.student())
    made = await board.sent(STUDENTS)
    await board.did("POST", f"/{made}/read", ada)

    await board.edit(made, title="Silent")
    after_silent = await board.titles(ada, "?unread=true")
    await board.edit(made, title="Told", notify=True)
    await board.work()

    assert after_silent == []
    assert await board.titles(ada, "?unread=true") == ["Told"]


async def test_what_one_did_not_receive_is_not_there(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    class_id = await school.school_class(member(ada))
    made = await board.sent(of_class(class_id, "student"))
    other = board.student(byron)

    assert (await board.ask("GET", f"/{made}", other)).status_code == 404
    assert (await board.ask("POST", f"/{made}/read", other)).status_code == 404
    assert await board.titles(other) == []


async def test_what_was_withdrawn_is_gone_at_once(board: Board) -> None:
    ada = board.student(await board.school.student())
    made = await board.sent(STUDENTS)

    await board.did("POST", f"/{made}/withdraw")

    assert await board.titles(ada) == []
    assert (await board.ask("GET", f"/{made}", ada)).status_code == 404
    assert (await board.ask("POST", f"/{made}/read", ada)).status_code == 404
    assert board.withdrawals(made) == 1


async def read_with_a_key(board: Board, who: Who, announcement_id: str) -> httpx.Response:
    """As a front end that retries: always with the same key."""
    headers = board.school.tokens.headers(
        who.role, school_id=board.school.school_id, person_id=who.person_id, user_id=who.user_id
    )
    path = f"/api/v1/announcements/{announcement_id}/read"
    return await board.school.client.post(path, headers=headers | {"Idempotency-Key": "read-once"})


async def test_no_key_brings_back_what_is_out_of_sight(board: Board) -> None:
    school = board.school
    ada = await school.student()
    anne = await school.guardian()
    link_id = await school.link(anne, ada)
    withdrawn, lost = await board.sent(STUDENTS), await board.sent(GUARDIANS)
    student, guardian = board.student(ada), board.guardian(anne)
    before = [await read_with_a_key(board, student, withdrawn), await read_with_a_key(board, guardian, lost)]

    await board.did("POST", f"/{withdrawn}/withdraw")
    await school.link(anne, ada, link_id=link_id, is_active=False, version=2)

    after = [await read_with_a_key(board, student, withdrawn), await read_with_a_key(board, guardian, lost)]
    assert [each.status_code for each in before] == [200, 200]
    assert [each.status_code for each in after] == [404, 404]


async def test_control_with_a_key_the_kept_answer_comes_back(
    board: Board, settings: Settings, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = board.student(await board.school.student())
    made = await board.sent(STUDENTS)
    monkeypatch.delitem(read_announcement.opt, "unkeyed")
    async with client_of(create_app(settings, tokens.verifier)) as client:
        board.school.client = client
        await read_with_a_key(board, ada, made)
        await board.did("POST", f"/{made}/withdraw")

        assert (await read_with_a_key(board, ada, made)).json()["body"] == "No school."


@pytest.mark.parametrize("lost", [{"is_active": False}, {"may_see": False}, {"ends_on": "yesterday"}], ids=str)
async def test_a_guardian_who_lost_the_child_no_longer_sees_what_came_for_it(
    board: Board, lost: dict[str, Any]
) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    anne = await school.guardian(byron)
    link_id = await school.link(anne, ada)
    only_ada = await board.sent(of_class(await school.school_class(member(ada)), "guardian"))
    both = await board.sent(of_class(await school.school_class(member(ada), member(byron)), "guardian"))
    if "ends_on" in lost:
        lost = {"ends_on": school.days_from_today(-1)}

    await school.link(anne, ada, link_id=link_id, version=2, **lost)

    who = board.guardian(anne)
    assert not await board.sees(who, only_ada)
    assert (await board.ask("POST", f"/{only_ada}/read", who)).status_code == 404
    (seen,) = (await board.did("GET", "", who))["items"]
    assert (seen["announcement_id"], seen["student_ids"]) == (both, [str(byron)])


async def test_receipts_are_counted_by_role_for_the_edition_that_went_out_last(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    anne = await school.guardian(ada)
    made = await board.sent(STUDENTS, GUARDIANS)

    await board.delivered(made, ada, anne)
    await board.delivered(made, ada, byron)
    await board.did("POST", f"/{made}/read", board.student(ada))
    first = await board.did("GET", f"/{made}/receipts")
    await board.edit(made, title="Ice", notify=True)
    await board.work()
    await board.delivered(made, anne, edition=2)
    await board.delivered(made, byron)
    second = await board.did("GET", f"/{made}/receipts")

    assert first == {
        "edition": 1,
        "recipients": 3,
        "delivered": 3,
        "read": 1,
        "by_role": [
            {"role": "guardian", "recipients": 1, "delivered": 1, "read": 0},
            {"role": "student", "recipients": 2, "delivered": 2, "read": 1},
        ],
    }
    assert (second["edition"], second["recipients"], second["delivered"], second["read"]) == (2, 3, 1, 0)


async def test_what_was_delivered_to_strangers_counts_for_nothing(board: Board) -> None:
    ada = await board.school.student()
    made = await board.sent(STUDENTS)
    await board.school.student()

    await board.delivered(made, await board.school.student(), await board.school.teacher())

    assert (await board.did("GET", f"/{made}/receipts"))["delivered"] == 0
    await board.delivered(made, ada)
    assert (await board.did("GET", f"/{made}/receipts"))["delivered"] == 1


async def test_who_has_not_read_it_is_listed_by_name_in_pages(board: Board) -> None:
    school = board.school
    students = {name: await school.student(name, "Same") for name in ("C", "A", "B", "D")}
    made = await board.sent(STUDENTS)
    await board.did("POST", f"/{made}/read", board.student(students["B"]))
    await board.delivered(made, students["A"])

    path: str | None = f"/{made}/recipients?read_state=unread&limit=2"
    unread: list[Any] = []
    while path is not None:
        page = await board.did("GET", path)
        unread += page["items"]
        path = page["next"] and page["next"].removeprefix("/api/v1/announcements")
    read = (await board.did("GET", f"/{made}/recipients?read_state=read"))["items"]

    assert [each["given_name"] for each in unread] == ["A", "C", "D"]
    assert [each["delivered_at"] is not None for each in unread] == [True, False, False]
    assert [each["given_name"] for each in read] == ["B"]
    assert len((await board.did("GET", f"/{made}/recipients"))["items"]) == 4


async def test_a_draft_has_no_receipts(board: Board) -> None:
    await board.school.student()
    made = (await board.draft(STUDENTS))["announcement_id"]

    receipts = await board.did("GET", f"/{made}/receipts")

    assert (receipts["recipients"], receipts["by_role"]) == (0, [])
    assert (await board.did("GET", f"/{made}/recipients?read_state=read"))["items"] == []
