"""Going out: one frozen audience, told part by part, once for each edition."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.communication.announcements import queries, rules
from services.communication.announcements.sending import send_due
from services.communication.settings import Settings
from services.communication.tests.announcing import EVERYBODY, GUARDIANS, STUDENTS, Board, Who, of_class
from services.communication.tests.factories import School, member
from shared import clock
from shared.database import Database
from shared.ids import new_id

ADD_STUDENTS = """
INSERT INTO student (school_id, student_id, given_name, family_name, is_active, version)
SELECT %(school_id)s, id, 'Ada', 'Lovelace', true, 1 FROM unnest(%(ids)s::uuid[]) AS new (id)
"""


async def many_students(board: Board, number: int) -> list[UUID]:
    """By SQL: there are too many for events."""
    ids = [new_id() for _ in range(number)]
    async with board.school.worker.database.transaction(school_id=board.school.school_id) as tx:
        await tx.execute(ADD_STUDENTS, school_id=board.school.school_id, ids=ids)
    return ids


async def sending_now(board: Board, *include: object, **fields: object) -> str:
    made = await board.draft(*include, **fields)  # pyright: ignore[reportArgumentType]
    await board.did("POST", f"/{made['announcement_id']}/send", version=1)
    return made["announcement_id"]


async def step_until(board: Board, announcement_id: str, events: int) -> None:
    """Steps of the worker until so many parts are told; other tests' announcements may be among them."""
    while len(board.events(announcement_id)) < events:
        assert await send_due(board.school.worker.database)


async def test_everybody_of_the_audience_is_told_once(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    anne = await school.guardian(ada, byron)
    office = await school.admin(user_id=board.office.user_id)

    made = await board.sent(GUARDIANS, STUDENTS, {"kind": "role", "role": "staff"}, is_urgent=True)

    assert {(each.recipient_id, each.role, *sorted(each.student_ids)) for each in board.told(made)} == {
        (ada, "student"),
        (byron, "student"),
        (office, "school_admin"),
        (anne, "guardian", *sorted([ada, byron])),
    }
    assert len(board.told(made)) == 4
    (event,) = board.events(made)
    assert (event.title, event.body, event.is_urgent, event.edition, event.part) == ("Snow", "No school.", True, 1, 1)
    assert event.sent_by == board.office.user_id


async def test_a_large_audience_is_told_in_parts(board: Board) -> None:
    students = await many_students(board, 2 * rules.PART + 1)

    made = await board.sent(STUDENTS)

    assert [(each.part, len(each.recipients)) for each in board.events(made)] == [(1, 500), (2, 500), (3, 1)]
    assert Counter(each.recipient_id for each in board.told(made)) == Counter(students)


async def test_who_joins_after_it_went_out_has_nothing_of_it(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    class_id = await school.school_class(member(ada))
    made = await board.sent(of_class(class_id, "student", "guardian"))

    await school.school_class(member(ada), member(byron), class_id=class_id, version=2)
    anne = await school.guardian(ada)
    await board.edit(made, title="Ice", notify=True)
    await board.work()

    assert not await board.sees(board.student(byron), made)
    assert not await board.sees(board.guardian(anne), made)
    assert {each.recipient_id for each in board.told(made)} == {ada}


async def test_who_joins_before_it_goes_out_is_told(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    class_id = await school.school_class(member(ada))
    made = await sending_now(board, of_class(class_id, "student"))

    await school.school_class(member(byron), class_id=class_id, version=2)
    await board.work()

    assert {each.recipient_id for each in board.told(made)} == {byron}


async def test_a_teacher_who_lost_the_class_writes_to_nobody_of_it(board: Board) -> None:
    school = board.school
    ada, teacher = await school.student(), await school.teacher()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    made = await board.draft(of_class(class_id, "student"), who=board.teacher(teacher))
    await board.did("POST", f"/{made['announcement_id']}/send", version=1)

    await school.school_class(member(ada), class_id=class_id, version=2)
    await board.work()

    held = await board.written(made["announcement_id"])
    assert (held["state"], held["hold_reason"]) == ("held", "nobody_to_tell")
    assert board.told(made["announcement_id"]) == []
    (told,) = board.held(made["announcement_id"])
    assert (told.reason, told.title, told.author.role) == ("nobody_to_tell", made["title"], "teacher")
    assert told.author.recipient_id == teacher


async def test_what_is_held_can_be_mended_and_sent(board: Board) -> None:
    school = board.school
    ada = await school.student()
    class_id = await school.school_class(member(ada))
    made = await sending_now(board, of_class(class_id, "student"))
    await school.school_class(class_id=class_id, version=2)
    await board.work()

    held = await board.edit(made, audience={"include": [STUDENTS]})
    await board.did("POST", f"/{made}/send", version=held["version"])
    await board.work()

    assert [each.recipient_id for each in board.told(made)] == [ada]
    assert len(board.held(made)) == 1, "once"


async def test_what_expired_while_it_waited_is_held(board: Board) -> None:
    await board.school.student()
    made = await sending_now(board, STUDENTS, expires_at=(clock.now() + timedelta(days=1)).isoformat())
    async with board.school.worker.database.transaction(school_id=board.school.school_id) as tx:
        await tx.execute(
            "UPDATE announcement SET expires_at = %(now)s WHERE announcement_id = %(id)s", now=clock.now(), id=made
        )

    await board.work()

    assert (await board.written(made))["hold_reason"] == "expired"
    await board.work()
    (told,) = board.held(made)
    assert (told.reason, told.author.role) == ("expired", "school_admin")
    assert str(told.author.recipient_id) == (await board.written(made))["author_user_id"]
    assert board.told(made) == []


@pytest.mark.parametrize("rule", [{"kind": "absent_today", "who": ["student"]}, STUDENTS])
async def test_those_absent_on_another_day_are_not_told_what_was_for_todays(board: Board, rule: dict[str, Any]) -> None:
    """The worker was down over midnight. What names no day goes out late."""
    absent = await board.school.student()
    await board.school.attendance(absent, "absent")
    made = await sending_now(board, rule)
    async with board.school.worker.database.transaction(school_id=board.school.school_id) as tx:
        sql = "UPDATE announcement SET send_at = %(yesterday)s WHERE announcement_id = %(id)s"
        await tx.execute(sql, yesterday=clock.now() - timedelta(days=1), id=made)

    await board.work()

    after = await board.written(made)
    is_of_day = rule is not STUDENTS
    assert (after["state"], after["hold_reason"]) == (("held", "day_over") if is_of_day else ("sent", None))
    assert [each.recipient_id for each in board.told(made)] == ([] if is_of_day else [absent])
    assert [each.reason for each in board.held(made)] == (["day_over"] if is_of_day else [])
    held = [each["announcement_id"] for each in (await board.did("GET", "/written?state=held"))["items"]]
    assert held == ([made] if is_of_day else [])


async def test_an_edit_is_seen_and_told_to_nobody(board: Board) -> None:
    ada = await board.school.student()
    made = await board.sent(STUDENTS)

    await board.edit(made, title="Ice", body="Still no school.")
    await board.work()

    seen = await board.did("GET", f"/{made}", board.student(ada))
    assert (seen["title"], seen["body"]) == ("Ice", "Still no school.")
    assert seen["edited_at"] is not None
    assert len(board.told(made)) == 1


async def test_an_edit_that_is_to_be_told_is_told_once_to_the_same_people(board: Board) -> None:
    students = await many_students(board, rules.PART + 1)
    made = await board.sent(STUDENTS)
    await board.school.student()

    edited = await board.edit(made, title="Ice", notify=True)
    refused = await board.ask("PATCH", f"/{made}", version=edited["version"], title="Fog", notify=True)
    await board.work()

    assert (edited["state"], edited["edition"]) == ("sending", 2)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-yet-sent")
    assert Counter(each.recipient_id for each in board.told(made, edition=2)) == Counter(students)
    assert Counter(each.recipient_id for each in board.told(made, edition=1)) == Counter(students)
    assert {each.title for each in board.events(made) if each.edition == 2} == {"Ice"}
    assert (await board.written(made))["state"] == "sent"


async def test_a_guardian_without_the_child_is_not_told_of_an_edit(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    anne, bert = await school.guardian(ada, byron), await school.guardian()
    link_id = await school.link(bert, ada)
    made = await board.sent(GUARDIANS)
    await school.link(bert, ada, link_id=link_id, is_active=False, version=2)
    await school.student(student_id=byron, is_active=False, version=2)

    await board.edit(made, title="Ice", notify=True)
    await board.work()

    assert [each.recipient_id for each in board.told(made, edition=2)] == [anne]


async def told_again_of_those_who_left(board: Board) -> tuple[str, set[UUID], set[UUID]]:
    """The announcement, whom its second edition is told, and who of them should not be."""
    school = board.school
    ada, byron, teacher, membership_id = (
        await school.student(),
        await school.student(),
        await school.teacher(),
        new_id(),
    )
    anne, bert, left = await school.guardian(ada), await school.guardian(ada, byron), await school.guardian(byron)
    office = await school.admin(membership_id=membership_id)
    stays = await school.admin()
    made = await board.sent(EVERYBODY)
    await school.student(student_id=ada, is_active=False, version=2)
    await school.teacher(teacher_id=teacher, is_active=False, version=2)
    await school.guardian(guardian_id=left, is_active=False, version=2)
    await school.admin(user_id=office, membership_id=membership_id, is_active=False, version=2)

    await board.edit(made, title="Ice", notify=True)
    await board.work()

    told = {each.recipient_id for each in board.told(made, edition=2)}
    assert told >= {byron, bert, stays}
    return made, told, {ada, anne, teacher, left, office}


async def test_who_has_left_is_not_told_of_an_edit_nor_their_family(board: Board) -> None:
    made, told, gone = await told_again_of_those_who_left(board)

    assert told & gone == set()
    assert len(told) == 3
    (bert,) = [each for each in board.told(made, edition=2) if each.role == "guardian"]
    assert len(bert.student_ids) == 1
    assert (await board.did("GET", f"/{made}/receipts"))["recipients"] == len(told | gone)


async def test_control_a_part_that_asks_nobody_whether_they_are_there_tells_who_has_left(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = queries.PART.replace(queries.STILL_THERE, "true").replace("coalesce(student.is_active, true)", "true")
    monkeypatch.setattr(queries, "PART", everybody)

    _, told, gone = await told_again_of_those_who_left(board)

    assert gone <= told


async def test_who_has_left_and_was_told_stays_counted_for_it(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    made = await board.sent(STUDENTS)
    await board.delivered(made, ada, byron)
    await board.did("POST", f"/{made}/read", board.student(ada))

    await school.student(student_id=ada, is_active=False, version=2)

    receipts = await board.did("GET", f"/{made}/receipts")
    assert (receipts["recipients"], receipts["delivered"], receipts["read"]) == (2, 2, 1)


async def test_two_workers_tell_each_part_once(board: Board, settings: Settings) -> None:
    students = await many_students(board, 4 * rules.PART)
    made = await sending_now(board, STUDENTS)

    async def work(database: Database) -> None:
        for _ in range(200):
            await send_due(database)

    async with Database(settings) as other:
        await asyncio.gather(*(work(database) for database in (board.school.worker.database, other) for _ in range(2)))

    assert Counter(each.recipient_id for each in board.told(made)) == Counter(students)
    assert sorted(each.part for each in board.events(made)) == [1, 2, 3, 4]


async def test_control_two_workers_that_do_not_take_the_row_tell_parts_twice(
    board: Board, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many_students(board, 4 * rules.PART)
    made = await sending_now(board, STUDENTS)
    monkeypatch.setattr(queries, "TAKE_ANNOUNCEMENT", queries.ANNOUNCEMENT)
    monkeypatch.setattr(queries, "CLAIM_DUE", queries.CLAIM_DUE.replace("FOR UPDATE SKIP LOCKED", ""))
    await step_until(board, made, 1)
    both_have_read = asyncio.Barrier(2)
    part = queries.part

    async def part_at_once(*args: object, **how: object) -> object:
        found = await part(*args, **how)  # pyright: ignore[reportArgumentType]
        await both_have_read.wait()
        return found

    monkeypatch.setattr(queries, "part", part_at_once)
    async with Database(settings) as other:
        await asyncio.gather(send_due(board.school.worker.database), send_due(other))

    assert [each.part for each in board.events(made)] == [1, 2, 2]


async def test_a_withdrawal_leaves_untold_what_was_not_told(board: Board) -> None:
    students = await many_students(board, 3 * rules.PART)
    made = await sending_now(board, STUDENTS)
    await step_until(board, made, 1)

    await board.did("POST", f"/{made}/withdraw")
    await board.work()

    assert len(board.events(made)) == 1
    assert board.withdrawals(made) == 1
    (first,) = board.events(made)
    assert not await board.sees(board.student(first.recipients[0].recipient_id), made)
    assert await board.titles(board.student(students[-1])) == []


@pytest.mark.parametrize("since", ["held", "scheduled", "draft"])
async def test_the_withdrawal_of_what_was_held_is_told(board: Board, since: str) -> None:
    """Its author was told that it did not go out; that notice goes too, whatever became of it since."""
    school = board.school
    class_id = await school.school_class(member(await school.student()))
    made = await sending_now(board, of_class(class_id, "student"))
    await school.school_class(class_id=class_id, version=2)
    await board.work()
    version = (await board.written(made))["version"]
    if since != "held":
        tomorrow = f"{school.days_from_today(1)}T12:00:00"
        version = (await board.did("POST", f"/{made}/send", version=version, at=tomorrow))["version"]
    if since == "draft":
        await board.did("POST", f"/{made}/call-back", version=version)
    before = (len(board.held(made)), board.withdrawals(made), (await board.written(made))["state"])

    await board.did("POST", f"/{made}/withdraw")
    await board.did("POST", f"/{made}/withdraw")

    assert before == (1, 0, since)
    assert board.withdrawals(made) == 1


async def test_a_withdrawal_races_with_the_sending_and_ends_it(board: Board, settings: Settings) -> None:
    for _ in range(5):
        await many_students(board, 2 * rules.PART)
        made = await sending_now(board, STUDENTS)

        async with Database(settings) as other:
            work = [send_due(database) for database in (board.school.worker.database, other) for _ in range(3)]
            await asyncio.gather(*work, board.did("POST", f"/{made}/withdraw"))
        told = len(board.events(made))
        await board.work()

        assert (await board.written(made))["state"] == "withdrawn"
        assert len(board.events(made)) == told
        assert board.withdrawals(made) == 1


async def test_the_worker_passes_by_what_an_author_has_in_hand(board: Board, settings: Settings) -> None:
    """It waits for nobody, so that neither can wait for the other; and goes on with what is due at any school."""
    other = Board(School(board.school.client, board.school.worker, board.school.tokens), board.stack)
    for each in (board, other):
        await each.school.student()
    made = await sending_now(board, STUDENTS)
    elsewhere = await sending_now(other, STUDENTS)

    async with Database(settings) as database, database.transaction(school_id=board.school.school_id) as tx:
        await queries.locked_announcement(tx, school_id=board.school.school_id, announcement_id=UUID(made))
        async with asyncio.timeout(60):
            await board.work()
        assert board.told(made) == []
        assert len(other.told(elsewhere)) == 1
    await again(board, made)

    assert len(board.told(made)) == 1


async def test_one_that_is_gone_from_under_its_place_in_the_queue_holds_up_nobody(board: Board) -> None:
    await board.school.student()
    database, gone = board.school.worker.database, {"school_id": board.school.school_id, "announcement_id": new_id()}
    async with database.transaction(school_id=board.school.school_id) as tx:
        await queries.await_announcement(tx, **gone, due_at=clock.now() - timedelta(days=1))

    made = await board.sent(STUDENTS)

    assert len(board.told(made)) == 1
    async with database.transaction(school_id=board.school.school_id) as tx:
        await queries.forget_announcement(tx, **gone)


async def again(board: Board, announcement_id: str) -> None:
    """The worker, once what it has put off is due."""
    async with board.school.worker.database.transaction() as tx:
        sql = "UPDATE announcement_due SET due_at = %(now)s WHERE announcement_id = %(id)s"
        await tx.execute(sql, now=clock.now(), id=announcement_id)
    await board.work()


async def test_one_that_fails_does_not_hold_up_the_others(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    await board.school.student()
    failing = await sending_now(board, STUDENTS)
    sound = await sending_now(board, STUDENTS)
    freeze = queries.freeze

    async def fails(tx: object, *, announcement_id: UUID, **how: object) -> int:
        if str(announcement_id) == failing:
            raise RuntimeError("no such luck")
        return await freeze(tx, announcement_id=announcement_id, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(queries, "freeze", fails)
    await board.work()

    assert len(board.told(sound)) == 1
    assert board.told(failing) == []
    monkeypatch.undo()
    await again(board, failing)
    assert len(board.told(failing)) == 1


async def test_five_thousand_are_told(board: Board) -> None:
    students = await many_students(board, 5_000)

    made = await board.sent(STUDENTS)

    assert len(board.events(made)) == 10
    assert Counter(each.recipient_id for each in board.told(made)) == Counter(students)


async def test_whoever_sends_it_is_named_as_the_sender(board: Board) -> None:
    await board.school.student()
    made = await board.draft(STUDENTS)
    colleague = Who(board.office.role)

    await board.did("POST", f"/{made['announcement_id']}/send", colleague, version=1)
    await board.work()

    assert {each.sent_by for each in board.events(made["announcement_id"])} == {colleague.user_id}
