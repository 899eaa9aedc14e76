"""Classes and who is in them from when to when."""

from datetime import timedelta

import msgspec

from services.academic.tests.factories import TODAY, School
from shared.contracts.academic import ClassChanged
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.stack import Stack


async def test_a_change_of_members_tells_the_whole_class(school: School, stack: Stack) -> None:
    taught = await school.a_taught_class()

    told = [
        each for each in published(stack.database_url("academic"), school.id) if each.subject == str(taught.class_id)
    ]

    assert [each.version for each in told] == [2, 3, 4, 5]
    last = msgspec.json.decode(told[-1].data, type=ClassChanged)
    assert {each.person_id for each in last.members} == {taught.teacher_id, *taught.student_ids}


async def test_spells_of_a_person_in_a_class_do_not_overlap(school: School) -> None:
    class_id, student_id = await school.a_class(), await school.a_student()
    await school.enrol(class_id, student_id)

    answer = await school.send(
        "POST",
        "/enrolments",
        json={
            "class_id": str(class_id),
            "person_id": str(student_id),
            "role": "student",
            "starts_on": str(TODAY),
        },
    )

    assert answer.status_code == 409


async def test_who_left_the_class_is_on_its_roll_until_then(school: School) -> None:
    taught = await school.a_taught_class()
    enrolments = (await school.send("GET", f"/enrolments?class_id={taught.class_id}")).json()["items"]
    spell = next(each for each in enrolments if each["person_id"] == str(taught.student_ids[0]))

    ended = await school.send(
        "POST", f"/enrolments/{spell['id']}/end", json={"ends_on": str(TODAY - timedelta(days=1))}
    )

    assert ended.status_code == 200
    answer = await school.save_register(taught, 0, {taught.student_ids[0]: "A"})
    assert answer.status_code == 422


async def test_an_end_before_the_start_is_refused(school: School) -> None:
    class_id, student_id = await school.a_class(), await school.a_student()
    spell = await school.enrol(class_id, student_id)

    answer = await school.send("POST", f"/enrolments/{spell['id']}/end", json={"ends_on": "2000-01-01"})

    assert answer.status_code == 422


async def test_a_teacher_sees_only_the_classes_taught(school: School, other_school: School) -> None:
    taught = await school.a_taught_class()
    other = await school.a_class("Chess", ("3",))

    listed = await school.send("GET", "/classes", role=Role.TEACHER, person_id=taught.teacher_id)
    shown = await school.send("GET", f"/classes/{other}", role=Role.TEACHER, person_id=taught.teacher_id)
    foreign = await other_school.send("GET", f"/classes/{taught.class_id}")
    members = await other_school.send("GET", f"/enrolments?class_id={taught.class_id}")

    assert [each["title"] for each in listed.json()["items"]] == ["Maths"]
    assert (shown.status_code, foreign.status_code) == (404, 404)
    assert members.json()["items"] == []


async def test_a_class_of_an_unknown_term_or_person_is_refused(school: School) -> None:
    class_id = await school.a_class()
    no_term = await school.send("POST", "/classes", json={"title": "X", "academic_session_ids": [str(new_id())]})
    body = {"class_id": str(class_id), "person_id": str(new_id()), "role": "student", "starts_on": str(TODAY)}

    no_person = await school.send("POST", "/enrolments", json=body)

    assert (no_term.status_code, no_person.status_code) == (404, 404)
