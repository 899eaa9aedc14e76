"""Whom one may write to about the students of a class."""

from uuid import UUID

import httpx
import pytest

from services.communication.tests.factories import School, member
from shared.identity import Role
from shared.ids import new_id


async def test_a_class_has_its_students_by_name_with_their_guardians_in_order(school: School) -> None:
    ada, byron = await school.student("Ada", "Lovelace"), await school.student("Byron", "King")
    mother = await school.guardian(ada, byron, given_name="Anne", relation="mother", priority=2)
    father = await school.guardian(ada, given_name="William", family_name="", email=None, relation="father", priority=1)
    class_id = await school.school_class(member(ada), member(byron))

    contacts = await school.contacts(class_id)

    anne = {"guardian_id": str(mother), "name": "Anne Byron", "email": "anne@home.test"}
    assert [each["given_name"] for each in contacts] == ["Byron", "Ada"]
    assert contacts[0]["guardians"] == [{**anne, "relation": "mother", "priority": 2}]
    assert contacts[1] == {
        "student_id": str(ada),
        "given_name": "Ada",
        "family_name": "Lovelace",
        "guardians": [
            {"guardian_id": str(father), "name": "William", "email": None, "relation": "father", "priority": 1},
            {**anne, "relation": "mother", "priority": 2},
        ],
    }


async def test_a_student_without_guardians_is_listed_too(school: School) -> None:
    ada = await school.student()

    assert await school.guardians_of(ada) == []


async def test_contacts_come_in_pages(school: School) -> None:
    students = [await school.student(name, "Same") for name in ("C", "A", "B", "A", "D")]
    for student_id in students:
        await school.guardian(student_id)
    class_id = await school.school_class(*(member(student_id) for student_id in students))

    found: list[str] = []
    answer = await school.ask(class_id, query="&limit=2")
    while True:
        found += [each["given_name"] for each in answer.json()["items"]]
        assert all(len(each["guardians"]) == 1 for each in answer.json()["items"])
        if (path := answer.json()["next"]) is None:
            break
        headers = school.tokens.headers(Role.SCHOOL_ADMIN, school_id=school.school_id)
        answer = await school.client.get(path, headers=headers)

    assert found == ["A", "A", "B", "C", "D"]


async def test_only_guardians_with_a_link_in_force_today_are_named(school: School) -> None:
    ada = await school.student()
    await school.guardian(ada, given_name="First day", starts_on=school.today)
    await school.guardian(ada, given_name="Last day", ends_on=school.today)
    await school.guardian(ada, given_name="Tomorrow", starts_on=school.days_from_today(1))
    await school.guardian(ada, given_name="Until yesterday", ends_on=school.days_from_today(-1))
    await school.guardian(ada, given_name="Link removed", is_linked=False)
    await school.guardian(ada, given_name="Left", is_active=False)

    assert await school.guardians_of(ada) == ["First day Byron", "Last day Byron"]


async def test_today_is_the_schools_own(school: School) -> None:
    """At every instant it is another day at one of these two ends of the world, which lie 25 hours apart."""
    east, west = "Pacific/Kiritimati", "Pacific/Niue"
    await school.named(version=2, time_zone=east)
    ada = await school.student()
    await school.guardian(ada, given_name="Only today", starts_on=school.today, ends_on=school.today)

    seen_in_the_east = await school.guardians_of(ada)
    await school.named(version=3, time_zone=west)
    seen_in_the_west = await school.guardians_of(ada)

    assert seen_in_the_east == ["Only today Byron"]
    assert seen_in_the_west == []


async def test_only_todays_active_students_are_listed(school: School) -> None:
    here, left = await school.student("Here"), await school.student("Left", is_active=False)
    later, before = await school.student("Later"), await school.student("Before")
    teacher_only = await school.student("Assistant")
    class_id = await school.school_class(
        member(here, starts_on=school.today, ends_on=school.today),
        member(left),
        member(later, starts_on=school.days_from_today(1)),
        member(before, ends_on=school.days_from_today(-1)),
        member(teacher_only, "teacher"),
    )

    assert await school.names(class_id) == ["Here"]


async def test_a_student_who_came_back_is_listed_once(school: School) -> None:
    ada = await school.student()
    class_id = await school.school_class(
        member(ada, ends_on=school.days_from_today(-10)), member(ada, starts_on=school.days_from_today(-5))
    )

    assert await school.names(class_id) == ["Ada"]


async def test_a_teacher_reads_the_classes_they_teach_today(school: School) -> None:
    ada, teacher = await school.student(), await school.teacher()
    own = await school.school_class(member(ada), member(teacher, "teacher"))

    assert len(await school.contacts(own, role=Role.TEACHER, person_id=teacher)) == 1


async def test_a_class_that_is_not_ones_own_looks_as_if_there_were_none(school: School) -> None:
    ada, teacher = await school.student(), await school.teacher()
    colleague = member(await school.teacher(), "teacher")
    classes = [
        await school.school_class(member(ada), colleague),
        await school.school_class(member(ada), member(teacher, "teacher", ends_on=school.days_from_today(-1))),
        await school.school_class(member(ada), member(teacher, "teacher", starts_on=school.days_from_today(1))),
        await school.school_class(member(ada), member(teacher, "student")),
        await school.school_class(member(ada), member(teacher, "teacher"), is_active=False),
        new_id(),
    ]

    answers = [await school.ask(class_id, role=Role.TEACHER, person_id=teacher) for class_id in classes]

    assert {each.status_code for each in answers} == {404}
    assert {each.json()["type"] for each in answers} == {"/problems/not-found"}


async def test_a_teacher_who_left_reads_nothing(school: School) -> None:
    teacher = await school.teacher()
    class_id = await school.school_class(member(teacher, "teacher"))
    assert (await school.ask(class_id, role=Role.TEACHER, person_id=teacher)).status_code == 200

    await school.teacher(teacher_id=teacher, is_active=False, version=2)

    assert (await school.ask(class_id, role=Role.TEACHER, person_id=teacher)).status_code == 404


async def test_an_unknown_class_is_not_there_for_the_office_either(school: School) -> None:
    closed = await school.school_class(is_active=False)

    assert (await school.ask(new_id())).status_code == 404
    assert (await school.ask(closed)).status_code == 404


async def test_another_school_sees_nothing(school: School) -> None:
    ada, teacher = await school.student(), await school.teacher()
    await school.guardian(ada)
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    other = School(school.client, school.worker, school.tokens)
    await other.named(version=1)

    assert (await other.ask(class_id)).status_code == 404
    assert (await other.ask(class_id, role=Role.TEACHER, person_id=teacher)).status_code == 404
    assert len(await school.contacts(class_id)) == 1


@pytest.mark.parametrize("role", [Role.STUDENT, Role.GUARDIAN, Role.PLATFORM_ADMIN])
async def test_contacts_are_for_those_who_work_at_the_school(school: School, role: str) -> None:
    ada = await school.student()
    class_id = await school.school_class(member(ada))

    assert (await school.ask(class_id, role=role, person_id=ada)).status_code == 403


async def test_a_teachers_login_without_a_person_reads_nothing(school: School) -> None:
    class_id = await school.school_class()

    assert (await school.ask(class_id, role=Role.TEACHER)).status_code == 403


async def test_nobody_comes_in_without_a_token(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/api/v1/contacts?class_id={new_id()}")).status_code == 401


@pytest.mark.parametrize(
    "query", ["", "?class_id=x", f"?class_id={UUID(int=1)}&limit=0", f"?class_id={UUID(int=1)}&cursor=x"]
)
async def test_a_question_that_cannot_be_read_is_refused(school: School, query: str) -> None:
    headers = school.tokens.headers(Role.SCHOOL_ADMIN, school_id=school.school_id)

    answer = await school.client.get(f"/api/v1/contacts{query}", headers=headers)

    assert answer.status_code == 400
