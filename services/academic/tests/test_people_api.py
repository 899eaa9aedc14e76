"""Who sees whom: the office everyone, a teacher the taught, a guardian their children, a student one."""

import msgspec
import pytest

from services.academic.people.rules import in_order
from services.academic.people.schemas import GradeCount
from services.academic.tests.factories import TODAY, School
from shared.contracts.academic import StudentChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.stack import Stack


async def names(school: School, role: str, person_id: object = None) -> list[str]:
    answer = await school.send("GET", "/students", role=role, person_id=person_id)
    return [each["given_name"] for each in answer.json()["items"]]


async def test_everybody_sees_exactly_their_own_students(school: School) -> None:
    taught = await school.a_taught_class()
    ada, _ = taught.student_ids
    await school.a_student("Cy")
    guardian = await school.a_guardian_of(ada)

    assert await names(school, Role.SCHOOL_ADMIN) == ["Ada", "Ben", "Cy"]
    assert await names(school, Role.TEACHER, taught.teacher_id) == ["Ada", "Ben"]
    assert await names(school, Role.GUARDIAN, guardian) == ["Ada"]
    assert await names(school, Role.STUDENT, ada) == ["Ada"]
    assert await names(school, Role.TEACHER, new_id()) == []


@pytest.mark.parametrize("role", [Role.TEACHER, Role.GUARDIAN, Role.STUDENT])
async def test_a_student_who_is_not_ones_own_looks_like_none(school: School, role: str) -> None:
    student_id = await school.a_student()

    refused = await school.send("GET", f"/students/{student_id}", role=role, person_id=new_id())
    unknown = await school.send("GET", f"/students/{new_id()}", role=role, person_id=new_id())

    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert refused.json().keys() == unknown.json().keys()
    assert refused.json()["title"] == unknown.json()["title"]


async def test_another_school_sees_nothing(school: School, other_school: School) -> None:
    student_id = await school.a_student()

    answer = await other_school.send("GET", f"/students/{student_id}")
    changed = await other_school.send("PATCH", f"/students/{student_id}", json={"version": 1, "given_name": "Eve"})

    assert (answer.status_code, changed.status_code) == (404, 404)
    assert await names(other_school, Role.SCHOOL_ADMIN) == []


async def test_teachers_do_not_see_mail_addresses_and_birthdays(school: School) -> None:
    taught = await school.a_taught_class()
    student_id = await school.a_student("Dot", email="dot@example.org", birth_date="2015-01-07")
    await school.enrol(taught.class_id, student_id)

    seen = await school.send("GET", f"/students/{student_id}", role=Role.TEACHER, person_id=taught.teacher_id)
    known = await school.send("GET", f"/students/{student_id}")

    assert (seen.json()["email"], seen.json()["birth_date"]) == (None, None)
    assert (known.json()["email"], known.json()["birth_date"]) == ("dot@example.org", "2015-01-07")


async def test_a_change_over_a_newer_one_is_refused(school: School) -> None:
    student_id = await school.a_student()
    first = await school.send("PATCH", f"/students/{student_id}", json={"version": 1, "family_name": "Byron"})

    second = await school.send("PATCH", f"/students/{student_id}", json={"version": 1, "family_name": "King"})

    assert first.json()["family_name"] == "Byron"
    assert second.status_code == 412


async def test_each_change_of_a_student_is_told_with_its_version(school: School, stack: Stack) -> None:
    student_id = await school.a_student()
    await school.send("PATCH", f"/students/{student_id}", json={"version": 1, "family_name": "Byron"})

    told = [
        each.version for each in published(stack.database_url("academic"), school.id) if each.subject == str(student_id)
    ]

    assert told == [1, 2]


async def test_the_year_group_of_a_student_is_told(school: School, stack: Stack) -> None:
    added = await school.send("POST", "/students", json={"given_name": "Ada", "grade": "07"})
    student_id = added.json()["id"]
    await school.send("PATCH", f"/students/{student_id}", json={"version": 1, "grade": "08"})

    told = [
        msgspec.json.decode(each.data, type=StudentChanged).grade
        for each in published(stack.database_url("academic"), school.id)
        if each.subject == student_id
    ]

    assert told == ["07", "08"]


@pytest.mark.parametrize(
    "body",
    [
        {"given_name": ""},
        {"given_name": "A" * 101},
        {"given_name": "A\u0000da"},
        {"given_name": "Ada", "email": "no address"},
        {"given_name": "Ada", "unknown": 1},
        {"given_name": "Ada", "birth_date": "2015-02-30"},
    ],
)
async def test_a_student_who_makes_no_sense_is_refused(school: School, body: dict[str, object]) -> None:
    answer = await school.send("POST", "/students", json=body)

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_pages_of_students_join_without_gap_or_double(school: School) -> None:
    for name in ("Ada", "Ben", "Cy", "Dot", "Eve"):
        await school.a_student(name)
    seen: list[str] = []
    path: str | None = "/students?limit=2"

    while path:
        answer = (await school.send("GET", path)).json()
        seen += [each["given_name"] for each in answer["items"]]
        path = answer["next"] and answer["next"].removeprefix("/api/v1")

    assert seen == ["Ada", "Ben", "Cy", "Dot", "Eve"]


async def test_a_guardian_sees_the_child_only_on_the_days_of_the_link(school: School) -> None:
    student_id = await school.a_student()
    ended = await school.a_guardian_of(student_id, starts_on="2020-01-01", ends_on="2020-12-31")
    hidden = await school.a_guardian_of(student_id, may_see=False)
    current = await school.a_guardian_of(student_id, starts_on=str(TODAY), ends_on=str(TODAY))

    assert await names(school, Role.GUARDIAN, ended) == []
    assert await names(school, Role.GUARDIAN, hidden) == []
    assert await names(school, Role.GUARDIAN, current) == ["Ada"]


async def test_staff_see_which_grades_there_are(school: School, other_school: School) -> None:
    for grade in ("10", "2", "2", None):
        await school.a_student(grade=grade)
    left = await school.a_student(grade="12")
    await school.send("PATCH", f"/students/{left}", json={"version": 1, "is_active": False})
    await other_school.a_student(grade="7")

    seen = await school.send("GET", "/grades", role=Role.TEACHER, person_id=new_id())

    assert seen.json() == [{"grade": "2", "students": 2}, {"grade": "10", "students": 1}]


@pytest.mark.parametrize("role", [Role.GUARDIAN, Role.STUDENT])
async def test_grades_are_for_staff(school: School, role: str) -> None:
    refused = await school.send("GET", "/grades", role=role, person_id=new_id())

    assert refused.status_code == 403


@pytest.mark.parametrize(
    "in_their_order",
    [
        ["01", "02", "10", "KG"],
        ["1", "2", "10"],
        ["9b", "10a", "10B", "10c"],
        ["Year 2", "Year 10"],
        ["02", "2"],
        ["٣", "4"],
    ],
)
def test_numbers_within_grades_count_as_numbers(in_their_order: list[str]) -> None:
    mixed = [GradeCount(grade=grade, students=1) for grade in reversed(in_their_order)]

    assert [each.grade for each in in_order(mixed)] == in_their_order
