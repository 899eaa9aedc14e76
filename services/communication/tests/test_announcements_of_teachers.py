"""What a teacher may still do to an announcement that went out, once its class is no longer theirs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.communication.announcements import queries, rules
from services.communication.announcements.sending import send_due
from services.communication.audiences.queries import CHILD_OF_AUTHORS_CLASSES, OF_AUTHORS_CLASSES
from services.communication.receipts import queries as receipts
from services.communication.tests.announcing import Board, Who, of_class
from services.communication.tests.factories import member
from shared import clock


class Lesson:
    """Ada and her mother have something of a teacher of two classes; Byron is in the other one."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.ada: UUID
        self.byron: UUID
        self.anne: UUID
        self.teacher: UUID
        self.of_ada: UUID
        self.of_byron: UUID
        self.author: Who

    async def begin(self) -> "Lesson":
        school = self.board.school
        self.ada, self.byron, self.teacher = await school.student(), await school.student(), await school.teacher()
        self.anne = await school.guardian(self.ada, self.byron)
        self.of_ada = await school.school_class(member(self.ada), member(self.teacher, "teacher"))
        self.of_byron = await school.school_class(member(self.byron), member(self.teacher, "teacher"))
        self.author = self.board.teacher(self.teacher)
        return self

    async def sent(self, *class_ids: UUID, **fields: Any) -> str:
        every = [of_class(each, "student", "guardian") for each in class_ids]
        return await self.board.sent(*every, who=self.author, **fields)

    async def edit(self, announcement_id: str, who: Who | None = None, **change: Any) -> Any:
        version = (await self.board.written(announcement_id))["version"]
        return await self.board.ask("PATCH", f"/{announcement_id}", who or self.author, version=version, **change)

    async def lose(self, how: str = "moved") -> None:
        """Ada's class; who has left has lost both."""
        school, colleague = self.board.school, await self.board.school.teacher()
        members = {
            "moved": [member(self.ada), member(colleague, "teacher")],
            "over": [member(self.ada), member(self.teacher, "teacher", ends_on=school.days_from_today(-1))],
        }
        if how == "left":
            await school.teacher(teacher_id=self.teacher, is_active=False, version=2)
        else:
            await school.school_class(*members[how], class_id=self.of_ada, version=2)


@pytest.fixture
async def lesson(board: Board) -> Lesson:
    return await Lesson(board).begin()


def later(**how: int) -> str:
    return (clock.now() + timedelta(**how)).isoformat()


SOMETHING_NEW: list[dict[str, Any]] = [
    {"title": "Ice"},
    {"body": "School."},
    {"notify": True},
    {"title": "Ice", "body": "School.", "notify": True},
    {"file_ids": []},
    {"pinned_until": later(days=9)},
    {"expires_at": None},
    {"expires_at": later(days=9)},
]


@pytest.mark.parametrize("how", ["moved", "over", "left"])
@pytest.mark.parametrize("change", SOMETHING_NEW, ids="+".join)
async def test_who_lost_the_class_brings_nothing_new_to_it(lesson: Lesson, how: str, change: dict[str, Any]) -> None:
    board = lesson.board
    made = await lesson.sent(lesson.of_ada, expires_at=later(days=3), pinned_until=later(days=2))
    before = await board.written(made)
    await lesson.lose(how)

    answer = await lesson.edit(made, **change)
    await board.work()

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-in-audience")
    assert await board.written(made) == before
    assert board.told(made, edition=2) == []
    assert (await board.did("GET", f"/{made}", board.student(lesson.ada)))["title"] == "Snow"


async def test_control_without_that_a_lost_class_is_told_anything(
    lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await lesson.sent(lesson.of_ada)
    await lesson.lose()

    def never(*_: object) -> bool:
        return False

    monkeypatch.setattr(rules, "must_reach_its_audience", never)

    answer = await lesson.edit(made, title="Ice")

    assert answer.status_code == 200
    seen = await lesson.board.did("GET", f"/{made}", lesson.board.student(lesson.ada))
    assert seen["title"] == "Ice"


async def test_who_lost_one_of_the_classes_brings_nothing_new_to_either(lesson: Lesson) -> None:
    made = await lesson.sent(lesson.of_ada, lesson.of_byron)
    await lesson.lose()

    answer = await lesson.edit(made, title="Ice")

    assert answer.status_code == 404
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/audience/include/0/class_id"]


@pytest.mark.parametrize("how", ["moved", "over", "left"])
async def test_who_lost_the_class_may_show_it_less(lesson: Lesson, how: str) -> None:
    board = lesson.board
    made = await lesson.sent(lesson.of_ada, expires_at=later(days=3), pinned_until=later(days=2))
    await lesson.lose(how)

    sooner = [
        await lesson.edit(made, pinned_until=later(days=1), expires_at=later(days=2)),
        await lesson.edit(made, pinned_until=None, expires_at=later(hours=1)),
        await board.ask("POST", f"/{made}/withdraw", lesson.author),
    ]

    assert [each.status_code for each in sooner] == [200, 200, 200]
    assert not await board.sees(board.student(lesson.ada), made)


async def test_who_teaches_it_may_go_on_whoever_else_left(lesson: Lesson) -> None:
    """Those left out, and those of the audience, come and go: the audience stands."""
    school = lesson.board.school
    left_out, gone = await school.student(), await school.student()
    members = [member(lesson.ada), member(lesson.teacher, "teacher")]
    await school.school_class(*members, member(left_out), member(gone), class_id=lesson.of_ada, version=2)
    made = await lesson.sent(lesson.of_ada, exclude=[left_out])
    await school.school_class(*members, class_id=lesson.of_ada, version=3)

    answer = await lesson.edit(made, title="Ice", notify=True)
    await lesson.board.work()

    assert answer.status_code == 200
    assert {each.recipient_id for each in lesson.board.told(made, edition=2)} == {lesson.ada, lesson.anne}


async def told_after_a_loss_on_the_way(lesson: Lesson) -> list[tuple[UUID, list[UUID]]]:
    """The class is lost between the edit and the worker."""
    made = await lesson.sent(lesson.of_ada, lesson.of_byron)
    assert (await lesson.edit(made, title="Ice", notify=True)).status_code == 200
    await lesson.lose()
    await lesson.board.work()
    assert (await lesson.board.written(made))["state"] == "sent"
    return sorted((each.recipient_id, each.student_ids) for each in lesson.board.told(made, edition=2))


async def test_a_class_that_is_lost_on_the_way_is_passed_over(lesson: Lesson) -> None:
    found = await told_after_a_loss_on_the_way(lesson)

    assert found == sorted([(lesson.byron, []), (lesson.anne, [lesson.byron])])


async def test_control_a_part_that_does_not_look_tells_a_lost_class(
    lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = queries.PART.replace(OF_AUTHORS_CLASSES, "\ntrue\n").replace(CHILD_OF_AUTHORS_CLASSES, "\ntrue\n")
    monkeypatch.setattr(queries, "PART", everybody)

    found = await told_after_a_loss_on_the_way(lesson)

    assert lesson.ada in {recipient_id for recipient_id, _ in found}
    assert (lesson.anne, sorted([lesson.ada, lesson.byron])) in [(each, sorted(of)) for each, of in found]


async def test_a_class_that_is_lost_between_freezing_and_telling_is_passed_over(lesson: Lesson) -> None:
    board = lesson.board
    made = await board.draft(of_class(lesson.of_ada, "student"), who=lesson.author)
    await board.did("POST", f"/{made['announcement_id']}/send", lesson.author, version=1)
    while (await board.written(made["announcement_id"]))["state"] == "scheduled":
        assert await send_due(board.school.worker.database)

    await lesson.lose()
    await board.work()

    assert (await board.written(made["announcement_id"]))["state"] == "sent"
    assert board.told(made["announcement_id"]) == []


async def names(lesson: Lesson, announcement_id: str, who: Who) -> list[tuple[UUID, list[UUID]]]:
    page = await lesson.board.did("GET", f"/{announcement_id}/recipients", who)
    return sorted(
        (UUID(each["recipient_id"]), sorted(UUID(child) for child in each["student_ids"])) for each in page["items"]
    )


async def test_who_lost_a_class_sees_its_people_no_more_and_counts_as_before(lesson: Lesson) -> None:
    made = await lesson.sent(lesson.of_ada, lesson.of_byron)
    everybody = sorted([(lesson.ada, []), (lesson.byron, []), (lesson.anne, sorted([lesson.ada, lesson.byron]))])
    before = await names(lesson, made, lesson.author)

    await lesson.lose()
    of_one = await names(lesson, made, lesson.author)
    await lesson.lose("left")

    assert before == everybody
    assert of_one == sorted([(lesson.byron, []), (lesson.anne, [lesson.byron])])
    assert await names(lesson, made, lesson.author) == []
    assert await names(lesson, made, lesson.board.office) == everybody
    assert (await lesson.board.did("GET", f"/{made}/receipts", lesson.author))["recipients"] == 3


async def test_control_a_list_that_does_not_look_names_a_lost_class(
    lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await lesson.sent(lesson.of_ada)
    await lesson.lose()
    everybody = receipts.AUDIENCE_RECEIPTS.replace(OF_AUTHORS_CLASSES, "\ntrue\n")
    monkeypatch.setattr(receipts, "AUDIENCE_RECEIPTS", everybody.replace(CHILD_OF_AUTHORS_CLASSES, "\ntrue\n"))

    assert (lesson.ada, []) in await names(lesson, made, lesson.author)


async def test_the_office_may_mend_what_a_teacher_wrote_but_not_tell_a_class_that_is_lost(lesson: Lesson) -> None:
    made = await lesson.sent(lesson.of_ada)
    await lesson.lose()

    mended = await lesson.edit(made, lesson.board.office, title="Ice")
    told = await lesson.edit(made, lesson.board.office, title="Fog", notify=True)

    assert (mended.status_code, told.status_code) == (200, 404)
    assert (await lesson.board.written(made))["title"] == "Ice"
