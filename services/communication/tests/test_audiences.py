"""Whom an audience comes to: seen through the preview, and through the list of a draft's recipients."""

import random
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.communication.audiences.schemas import Audience
from services.communication.tests.announcing import (
    EVERYBODY,
    GUARDIANS,
    STAFF,
    STUDENTS,
    TEACHERS,
    Board,
    Who,
    of_class,
    person,
)
from services.communication.tests.audience_model import Model, Told
from services.communication.tests.factories import School, member
from shared.identity import Role
from shared.ids import new_id


async def reached(board: Board, *include: dict[str, Any], who: Who | None = None, exclude: Any = ()) -> Told:
    """Everybody of an audience, each with the children they hear of it for; counted in both ways."""
    draft = await board.draft(*include, who=who, exclude=exclude)
    listed = (await board.did("GET", f"/{draft['announcement_id']}/recipients?limit=500"))["items"]
    audience = {"include": list(include), "exclude": [str(each) for each in exclude]}
    preview = await board.did("POST", "/preview", who, audience=audience)
    assert preview["recipients"] == len(listed) == sum(each["recipients"] for each in preview["by_role"])
    assert [each["recipient_id"] for each in preview["first"]] == [each["recipient_id"] for each in listed[:20]]
    return {UUID(each["recipient_id"]): {UUID(child) for child in each["student_ids"]} for each in listed}


async def test_whole_roles(board: Board) -> None:
    school = board.school
    ada, teacher, office = await school.student(), await school.teacher(), await school.admin()
    await school.student(is_active=False)
    await school.teacher(is_active=False)
    await school.admin(is_active=False)
    anne = await school.guardian(ada)
    await school.guardian(ada, given_name="Left", is_active=False)
    await school.guardian(given_name="Without a child")

    assert await reached(board, STUDENTS) == {ada: set()}
    assert await reached(board, GUARDIANS) == {anne: {ada}}
    assert await reached(board, TEACHERS) == {teacher: set()}
    assert await reached(board, STAFF) == {teacher: set(), office: set()}
    assert await reached(board, EVERYBODY) == {ada: set(), anne: {ada}, teacher: set(), office: set()}
    assert await reached(board, EVERYBODY, STAFF, exclude=[ada]) == {teacher: set(), office: set()}


async def test_a_guardian_of_two_children_is_one_recipient_with_both(board: Board) -> None:
    school = board.school
    ada, byron, other = await school.student(), await school.student(), await school.student()
    anne = await school.guardian(ada, byron)
    await school.link(anne, other, may_see=False)
    await school.link(anne, ada, relation="carer")
    class_id = await school.school_class(member(ada), member(byron), member(other))

    assert await reached(board, of_class(class_id, "guardian")) == {anne: {ada, byron}}


async def test_a_guardian_is_written_to_through_a_link_in_force_that_lets_see(board: Board) -> None:
    school = board.school
    ada = await school.student()
    first_day = await school.guardian(ada, starts_on=school.today)
    last_day = await school.guardian(ada, ends_on=school.today)
    await school.guardian(ada, may_see=False)
    await school.guardian(ada, is_linked=False)
    await school.guardian(ada, starts_on=school.days_from_today(1))
    await school.guardian(ada, ends_on=school.days_from_today(-1))

    assert await reached(board, GUARDIANS) == {first_day: {ada}, last_day: {ada}}


async def test_a_year_group(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(grade="07"), await school.student(grade="08")
    await school.student()
    anne = await school.guardian(ada, byron)
    grade = {"kind": "grade", "grade": "07"}

    assert await reached(board, {**grade, "who": ["student"]}) == {ada: set()}
    assert await reached(board, {**grade, "who": ["student", "guardian"]}) == {ada: set(), anne: {ada}}
    await school.student(student_id=ada, grade="08", version=2)
    assert await reached(board, {**grade, "who": ["student", "guardian"]}) == {}


async def test_the_members_of_a_class_are_todays(board: Board) -> None:
    school = board.school
    here, gone, left = await school.student(), await school.student(), await school.student(is_active=False)
    teacher, former = await school.teacher(), await school.teacher()
    class_id = await school.school_class(
        member(here, ends_on=school.today),
        member(gone, ends_on=school.days_from_today(-1)),
        member(left),
        member(teacher, "teacher"),
        member(former, "teacher", starts_on=school.days_from_today(1)),
    )

    assert await reached(board, of_class(class_id, "student", "teacher")) == {here: set(), teacher: set()}


async def test_those_absent_today_by_the_latest_word(board: Board) -> None:
    school = board.school
    absent, excused, late, corrected, yesterday = [await school.student() for _ in range(5)]
    anne = await school.guardian(absent, late)
    await school.attendance(absent, "absent")
    await school.attendance(excused, "excused")
    await school.attendance(late, "late")
    await school.attendance(corrected, "present", version=2)
    await school.attendance(corrected, "absent", version=1)
    await school.attendance(yesterday, "absent", day=school.days_from_today(-1), version=7)
    await school.attendance(absent, "present", day=school.days_from_today(-1), version=9)
    class_id = await school.school_class(member(excused), member(late))
    rule = {"kind": "absent_today", "who": ["student", "guardian"]}

    assert await reached(board, rule) == {absent: set(), excused: set(), anne: {absent}}
    assert await reached(board, {**rule, "class_id": str(class_id)}) == {excused: set()}


async def test_single_persons_of_every_kind(board: Board) -> None:
    school = board.school
    ada, teacher, office = await school.student(), await school.teacher(), await school.admin()
    anne = await school.guardian(ada)
    people = [ada, teacher, office, anne]

    found = await reached(board, *(person(each) for each in people))

    assert found == {ada: set(), teacher: set(), office: set(), anne: {ada}}


async def test_who_runs_the_school_and_teaches_is_told_once(board: Board) -> None:
    school = board.school
    head, teacher = await school.admin(), await school.teacher()
    membership_id = await school.teaches(head, teacher)
    office, colleague = await school.admin(), await school.teacher()
    await school.teaches(new_id(), colleague)

    assert await reached(board, STAFF) == {teacher: set(), office: set(), colleague: set()}
    assert await reached(board, EVERYBODY) == {teacher: set(), office: set(), colleague: set()}
    assert await reached(board, person(head), person(teacher)) == {teacher: set()}
    assert await reached(board, person(head)) == {head: set()}
    for half in (teacher, head):
        assert await reached(board, STAFF, exclude=[half]) == {office: set(), colleague: set()}
        assert await reached(board, EVERYBODY, exclude=[half]) == {office: set(), colleague: set()}
        assert await reached(board, person(head), person(teacher), person(office), exclude=[half]) == {office: set()}
    await school.teaches(head, teacher, membership_id=membership_id, is_active=False, version=2)
    assert await reached(board, STAFF) == {head: set(), teacher: set(), office: set(), colleague: set()}
    assert await reached(board, STAFF, exclude=[teacher]) == {head: set(), office: set(), colleague: set()}


async def test_who_is_excluded_and_has_stopped_running_the_school_is_not_told_as_a_teacher(board: Board) -> None:
    school = board.school
    membership_id, teacher = new_id(), await school.teacher()
    head = await school.admin(membership_id=membership_id)
    await school.teaches(head, teacher)
    draft = await board.draft(STAFF, exclude=[head])

    await school.admin(user_id=head, membership_id=membership_id, is_active=False, version=2)

    assert (await board.did("GET", f"/{draft['announcement_id']}/recipients"))["items"] == []


async def test_who_is_excluded_is_left_out_with_all_that_comes_through_them(board: Board) -> None:
    school = board.school
    ada, byron = await school.student(), await school.student()
    of_both, of_ada = await school.guardian(ada, byron), await school.guardian(ada)
    class_id = await school.school_class(member(ada), member(byron))
    everybody = of_class(class_id, "student", "guardian")

    assert await reached(board, everybody, exclude=[ada]) == {byron: set(), of_both: {byron}}
    assert await reached(board, everybody, exclude=[of_ada]) == {ada: set(), byron: set(), of_both: {ada, byron}}


async def test_a_teacher_writes_to_the_people_of_their_own_classes(board: Board) -> None:
    school = board.school
    ada, other = await school.student(), await school.student()
    teacher, colleague = await school.teacher(), await school.teacher()
    anne = await school.guardian(ada, other)
    own = await school.school_class(member(ada), member(teacher, "teacher"), member(colleague, "teacher"))
    who = board.teacher(teacher)

    assert await reached(board, of_class(own, "student", "guardian", "teacher"), who=who) == {
        ada: set(),
        anne: {ada},
        teacher: set(),
        colleague: set(),
    }
    assert await reached(board, person(ada), person(anne), person(colleague), who=who) == {
        ada: set(),
        anne: {ada},
        colleague: set(),
    }


@pytest.mark.parametrize("rule", [EVERYBODY, GUARDIANS, STAFF, {"kind": "grade", "grade": "07", "who": ["student"]}])
@pytest.mark.parametrize("path", ["", "/preview"])
async def test_the_whole_school_is_not_a_teachers_to_write_to(board: Board, rule: dict[str, Any], path: str) -> None:
    who = board.teacher(await board.school.teacher())

    answer = await board.ask("POST", path, who, **asked(path, rule))

    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/outside-your-classes")


def asked(path: str, *include: dict[str, Any]) -> dict[str, Any]:
    text = {} if path == "/preview" else {"title": "Snow", "body": "No school."}
    return {**text, "audience": {"include": list(include)}}


async def test_a_class_or_a_person_of_others_looks_as_if_there_were_none(board: Board) -> None:
    school = board.school
    ada, stranger, teacher, colleague = (
        await school.student(),
        await school.student(),
        await school.teacher(),
        await school.teacher(),
    )
    parent, office = await school.guardian(stranger), await school.admin()
    await school.school_class(member(ada), member(teacher, "teacher"))
    not_mine = [
        await school.school_class(member(stranger), member(colleague, "teacher")),
        await school.school_class(member(ada), member(teacher, "teacher", ends_on=school.days_from_today(-1))),
        await school.school_class(member(teacher, "teacher"), is_active=False),
        new_id(),
    ]
    rules = [of_class(each, "guardian") for each in not_mine]
    rules += [{"kind": "absent_today", "class_id": str(each), "who": ["student"]} for each in not_mine]
    rules += [person(each) for each in (stranger, parent, office, colleague, new_id())]

    answers = [
        await board.ask("POST", path, board.teacher(teacher), **asked(path, rule))
        for rule in rules
        for path in ("", "/preview")
    ]

    assert {each.status_code for each in answers} == {404}
    assert {each.json()["type"] for each in answers} == {"/problems/unknown-in-audience"}


async def test_what_is_not_there_is_not_there_for_the_office_either(board: Board) -> None:
    for rule in (of_class(new_id(), "student"), person(new_id())):
        assert (await board.ask("POST", "", **asked("", rule))).status_code == 404


async def test_who_is_not_there_cannot_be_excluded(board: Board) -> None:
    """A slip there would tell somebody what they must not hear."""
    await board.school.student()
    audience = {"include": [STUDENTS], "exclude": [str(new_id())]}

    answer = await board.ask("POST", "/preview", audience=audience)

    assert answer.status_code == 404
    assert answer.json()["errors"][0]["pointer"] == "/audience/exclude/0"


async def test_another_schools_people_cannot_be_written_to(board: Board) -> None:
    other = School(board.school.client, board.school.worker, board.school.tokens)
    ada = await other.student()
    class_id = await other.school_class(member(ada))

    for rule in (of_class(class_id, "student"), person(ada)):
        assert (await board.ask("POST", "", **asked("", rule))).status_code == 404
    assert await reached(board, STUDENTS) == {}


async def test_what_was_taken_in_before_is_taken_in_again_when_it_is_told_again(board: Board) -> None:
    """Rows from before the grade and the right to see were kept have NULL there."""
    school = board.school
    ada, anne = await school.student(grade="07"), await school.guardian()
    link_id = await school.link(anne, ada, version=4)
    async with school.worker.database.transaction(school_id=school.school_id) as tx:
        await tx.execute("UPDATE student SET grade = NULL WHERE school_id = %(school)s", school=school.school_id)
        await tx.execute(
            "UPDATE guardian_link SET may_see = NULL WHERE school_id = %(school)s", school=school.school_id
        )
    grade = {"kind": "grade", "grade": "07", "who": ["student"]}
    assert (await reached(board, grade), await reached(board, GUARDIANS)) == ({}, {})

    await school.student(student_id=ada, grade="07", version=1)
    await school.link(anne, ada, link_id=link_id, version=3, may_see=False)
    await school.link(anne, ada, link_id=link_id, version=4)

    assert await reached(board, grade) == {ada: set()}
    assert await reached(board, GUARDIANS) == {anne: {ada}}


async def test_the_recipients_of_a_draft_come_in_pages_by_role_and_name(board: Board) -> None:
    school = board.school
    for name in ("C", "A", "B", "A"):
        await school.guardian(await school.student(name, "Same"), given_name=name, family_name="")
    draft = await board.draft(STUDENTS, GUARDIANS)

    path: str | None = f"/{draft['announcement_id']}/recipients?limit=3"
    found: list[tuple[str, str]] = []
    while path:
        page = await board.did("GET", path)
        found += [(each["role"], each["given_name"]) for each in page["items"]]
        path = page["next"] and page["next"].removeprefix("/api/v1/announcements")

    assert found == [(role, name) for role in ("guardian", "student") for name in ("A", "A", "B", "C")]


@pytest.mark.parametrize("seed", range(4))
async def test_the_database_resolves_what_the_rules_say(board: Board, seed: int) -> None:
    dice = random.Random(seed)
    model = Model(board.school, dice)
    await model.fill()
    sizes: set[int] = set()

    for _ in range(15):
        teacher = dice.choice([None, *(each for _, teachers in model.classes.values() for each in teachers)])
        include = [model.rule(of_teacher=teacher) for _ in range(dice.randint(1, 4))]
        exclude = dice.sample(model.reachable(of_teacher=teacher), dice.randint(0, 3))
        msgspec.convert({"include": include}, Audience)
        who = Who(Role.TEACHER, person_id=teacher) if teacher else None

        found = await reached(board, *include, who=who, exclude=exclude)

        assert found == model.resolved(include, exclude, of_teacher=teacher), (include, exclude, teacher)
        sizes.add(len(found))
    assert len(sizes) > 3
