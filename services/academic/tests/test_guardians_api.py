"""Links between guardians and children, one by one and out of a CSV."""

from typing import Any

import pytest

from services.academic.tests.factories import School
from shared.identity import Role
from shared.testing.bus import published
from shared.testing.stack import Stack

HEADER = "student_sourced_id,given_name,family_name,guardian_email,relation"


async def take_csv(school: School, *lines: str, dry_run: bool = False) -> Any:
    return await school.send(
        "POST",
        f"/guardian-links/csv?dry_run={str(dry_run).lower()}",
        content="\n".join(lines).encode(),
        headers={"Content-Type": "text/csv"},
    )


async def test_a_link_keeps_its_history_with_who_and_when(school: School) -> None:
    student_id = await school.a_student()
    await school.a_guardian_of(student_id)
    link = (await school.send("GET", f"/guardian-links?student_id={student_id}")).json()["items"][0]

    await school.send(
        "PATCH", f"/guardian-links/{link['id']}", json={"version": 1, "receives_alerts": False, "ends_on": "2030-01-01"}
    )

    history = (await school.send("GET", f"/guardian-links/{link['id']}/history")).json()
    assert [each["receives_alerts"] for each in history] in ([True, False], [False, True])
    assert len({each["version"] for each in history}) == 2


async def test_the_same_link_twice_is_refused(school: School) -> None:
    student_id = await school.a_student()
    guardian_id = await school.a_guardian_of(student_id)
    body = {"guardian_id": str(guardian_id), "student_id": str(student_id), "relation": "parent"}

    answer = await school.send("POST", "/guardian-links", json=body)

    assert answer.status_code == 409


async def test_a_link_to_another_schools_child_is_refused(school: School, other_school: School) -> None:
    theirs = await other_school.a_student()
    guardian_id = await school.a_guardian_of()
    body = {"guardian_id": str(guardian_id), "student_id": str(theirs), "relation": "parent"}

    answer = await school.send("POST", "/guardian-links", json=body)

    assert answer.status_code == 404


async def test_each_change_of_a_link_is_told(school: School, stack: Stack) -> None:
    student_id = await school.a_student()
    await school.a_guardian_of(student_id)

    told = published(stack.database_url("academic"), school.id)

    assert "academic.guardian_link_changed.v1" in {each.type for each in told}
    assert "academic.guardian_changed.v1" in {each.type for each in told}


async def test_a_csv_with_an_unknown_child_changes_nothing_and_says_where(school: School) -> None:
    answer = await take_csv(school, HEADER, "nobody,Gil,Gray,gil@example.org,parent")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "line/2/student_sourced_id"
    assert (await school.send("GET", "/guardians")).json()["items"] == []


@pytest.mark.parametrize(
    "lines",
    [
        ["given_name,family_name", "Gil,Gray"],
        [HEADER, "a,b"],
        [HEADER, "x,Gil,Gray,not an address,parent"],
        [""],
    ],
)
async def test_a_csv_that_cannot_be_read_is_refused(school: School, lines: list[str]) -> None:
    answer = await take_csv(school, *lines)

    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_csv_in_another_encoding_is_refused(school: School) -> None:
    answer = await school.send(
        "POST", "/guardian-links/csv", content="ä".encode("latin-1"), headers={"Content-Type": "text/csv"}
    )

    assert answer.status_code == 422


async def test_a_teacher_sees_whom_to_call_first(school: School) -> None:
    taught = await school.a_taught_class()
    student_id = taught.student_ids[0]
    await school.a_guardian_of(student_id, given_name="Second", priority=2)
    await school.a_guardian_of(student_id, given_name="First", priority=1)

    answer = await school.send(
        "GET", f"/students/{student_id}/guardians", role=Role.TEACHER, person_id=taught.teacher_id
    )

    assert [each["given_name"] for each in answer.json()] == ["First", "Second"]
