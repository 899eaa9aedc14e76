"""Class lists and timetables are remembered; who may see them is asked each time."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.academic import access
from services.academic.tests.factories import TODAY, School, Taught
from shared.contracts.school import CalendarDay, GradeDay
from shared.identity import Role
from shared.ids import new_id
from shared.testing.queries import readings, statements


@pytest.fixture
async def taught(school: School) -> Taught:
    return await school.a_taught_class()


def paths(taught: Taught) -> dict[str, str]:
    return {
        "courses": "/courses",
        "classes": "/classes",
        "class": f"/classes/{taught.class_id}",
        "members": f"/enrolments?class_id={taught.class_id}",
        "lessons": "/lessons",
    }


KINDS_OF_PATHS = ("courses", "classes", "class", "members", "lessons")
GUARDED = {"class": 1, "members": 1}
"""How often a teacher's own guard asks the database."""
OF_THE_MOMENT = {"lessons": 1}
"""The versions of the registers."""
PUT_IN_AFTERWARDS = {"lessons": {"register"}}
"""Whatever was remembered of it."""


async def as_teacher(school: School, taught: Taught, path: str, **how: Any) -> httpx.Response:
    return await school.send("GET", path, role=Role.TEACHER, person_id=taught.teacher_id, **how)


@pytest.mark.parametrize("what", KINDS_OF_PATHS)
async def test_what_was_read_once_costs_only_the_guard(school: School, taught: Taught, what: str) -> None:
    first = await as_teacher(school, taught, paths(taught)[what])

    with statements() as seen:
        second = await as_teacher(school, taught, paths(taught)[what])

    assert second.status_code == 200
    assert second.content == first.content
    assert len(seen) == GUARDED.get(what, 0) + OF_THE_MOMENT.get(what, 0)


@pytest.mark.parametrize("what", KINDS_OF_PATHS)
async def test_a_kind_names_every_table_that_it_is_read_from(school: School, taught: Taught, what: str) -> None:
    path = {**paths(taught), "lessons": f"/lessons?day={TODAY + timedelta(days=1)}"}[what]

    with readings() as found:
        await as_teacher(school, taught, path)

    undeclared = {table for kind, tables in found for table in tables - kind.tables}
    assert found
    assert undeclared == PUT_IN_AFTERWARDS.get(what, set())


@pytest.mark.parametrize("what", KINDS_OF_PATHS)
async def test_who_has_it_is_told_so(school: School, taught: Taught, what: str) -> None:
    first = await as_teacher(school, taught, paths(taught)[what])

    again = await as_teacher(school, taught, paths(taught)[what], headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


async def test_names_of_children_stay_on_no_disk(school: School, taught: Taught) -> None:
    members = await as_teacher(school, taught, paths(taught)["members"])
    classes = await as_teacher(school, taught, paths(taught)["classes"])

    assert members.headers["cache-control"] == "no-store"
    assert classes.headers["cache-control"] == "private, no-cache"


async def test_who_joins_a_class_is_on_its_list_at_once(school: School, taught: Taught) -> None:
    path = paths(taught)["members"]
    before = (await as_teacher(school, taught, path)).json()["items"]

    await school.enrol(taught.class_id, await school.a_student("Cem"))

    after = (await as_teacher(school, taught, path)).json()["items"]
    assert {each["given_name"] for each in after} - {each["given_name"] for each in before} == {"Cem"}


async def test_a_changed_name_is_on_the_list_at_once(school: School, taught: Taught) -> None:
    path = paths(taught)["members"]
    await as_teacher(school, taught, path)

    changed = await school.send(
        "PATCH", f"/students/{taught.student_ids[0]}", json={"version": 1, "given_name": "Adele"}
    )

    assert changed.status_code == 200, changed.text
    names = {each["given_name"] for each in (await as_teacher(school, taught, path)).json()["items"]}
    assert "Adele" in names
    assert "Ada" not in names


async def test_a_new_class_is_listed_at_once(school: School, taught: Taught) -> None:
    await school.send("GET", "/classes")

    await school.a_class("Chess", ("3",))

    listed = (await school.send("GET", "/classes")).json()["items"]
    assert [each["title"] for each in listed] == ["Chess", "Maths"]


async def test_teachers_do_not_get_each_others_classes(school: School, taught: Taught) -> None:
    other = await school.a_taught_class("Music", ("3",))

    listed = [
        [each["title"] for each in (await as_teacher(school, who, "/classes")).json()["items"]]
        for who in (taught, other, taught, other)
    ]

    assert listed == [["Maths"], ["Music"], ["Maths"], ["Music"]]


async def test_another_school_never_gets_it(school: School, other_school: School, taught: Taught) -> None:
    for path in paths(taught).values():
        await school.send("GET", path)

    assert (await other_school.send("GET", "/classes")).json()["items"] == []
    assert (await other_school.send("GET", f"/classes/{taught.class_id}")).status_code == 404
    assert (await other_school.send("GET", paths(taught)["members"])).json()["items"] == []
    assert (await other_school.send("GET", "/lessons")).json()["items"] == []


async def test_a_teacher_who_left_the_class_is_refused_though_its_list_is_remembered(
    school: School, taught: Taught
) -> None:
    path = paths(taught)["members"]
    members = (await as_teacher(school, taught, path)).json()["items"]
    spell = next(each for each in members if each["person_id"] == str(taught.teacher_id))
    await school.send("GET", path)

    ended = await school.send(
        "POST", f"/enrolments/{spell['id']}/end", json={"ends_on": str(TODAY - timedelta(days=1))}
    )

    assert ended.status_code == 200
    await school.send("GET", path)
    assert (await as_teacher(school, taught, path)).status_code == 404


async def test_a_guardian_whose_link_ended_is_refused_though_the_day_is_remembered(
    school: School, taught: Taught
) -> None:
    child = taught.student_ids[0]
    guardian_id = await school.a_guardian_of(child)
    link = (await school.send("GET", f"/guardian-links?guardian_id={guardian_id}")).json()["items"][0]
    seen = await school.lessons(Role.GUARDIAN, guardian_id, student_id=str(child))
    await school.lessons(Role.SCHOOL_ADMIN, None, student_id=str(child))

    ended = await school.send(
        "PATCH", f"/guardian-links/{link['id']}", json={"version": link["version"], "is_active": False}
    )

    assert ended.status_code == 200, ended.text
    answer = await school.send(
        "GET", f"/lessons?student_id={child}", role=Role.GUARDIAN, person_id=guardian_id, headers={"If-None-Match": "*"}
    )
    assert len(seen["items"]) == 1
    assert answer.status_code == 404


async def test_a_register_that_was_saved_is_seen_though_the_day_is_remembered(school: School, taught: Taught) -> None:
    before = await as_teacher(school, taught, "/lessons")

    saved = await school.save_register(taught, 0, {taught.student_ids[0]: "A"})

    assert saved.status_code == 200, saved.text
    after = await as_teacher(school, taught, "/lessons")
    assert before.json()["items"][0]["register_version"] == 0
    assert after.json()["items"][0]["register_version"] == 1
    assert after.headers["etag"] != before.headers["etag"]


async def test_a_cancelled_lesson_is_seen_at_once(school: School, taught: Taught) -> None:
    lesson = (await as_teacher(school, taught, "/lessons")).json()["items"][0]

    await school.send("PATCH", f"/lessons/{lesson['id']}", json={"version": lesson["version"], "is_cancelled": True})

    assert (await as_teacher(school, taught, "/lessons")).json()["items"][0]["is_cancelled"]


async def test_a_holiday_that_is_told_is_seen_at_once(school: School, taught: Taught) -> None:
    """The event comes to the worker, which is another process."""
    tomorrow = TODAY + timedelta(days=1)
    before = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(tomorrow))

    await school.tell_calendar(version=2, days=(CalendarDay(day=tomorrow, kind="holiday", title="Snow"),))

    after = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(tomorrow))
    assert (before["holiday"], len(before["items"])) == (None, 1)
    assert (after["holiday"], after["items"]) == ("Snow", [])


async def test_a_day_of_a_grade_that_is_told_is_seen_at_once(school: School, taught: Taught) -> None:
    before = await school.lessons(Role.TEACHER, taught.teacher_id)

    await school.tell_calendar(
        version=2, grade_days=(GradeDay(day=TODAY, grades=["12"], kind="holiday", title="Trip"),)
    )

    after = await school.lessons(Role.TEACHER, taught.teacher_id)
    assert (before["grade_days"], [each["grade"] for each in after["grade_days"]]) == ([], ["12"])


async def test_a_zone_that_is_told_is_seen_at_once(school: School, taught: Taught) -> None:
    before = await school.lessons(Role.TEACHER, taught.teacher_id)

    await school.tell_zone("America/Chicago", version=2)

    assert before["time_zone"] == "America/New_York"
    assert (await school.lessons(Role.TEACHER, taught.teacher_id))["time_zone"] == "America/Chicago"


async def test_each_child_has_a_day_of_its_own(school: School, taught: Taught) -> None:
    other = await school.a_student("Zoe")
    guardian_id = await school.a_guardian_of(taught.student_ids[0], other)

    days = [
        len((await school.lessons(Role.GUARDIAN, guardian_id, student_id=str(child)))["items"])
        for child in (taught.student_ids[0], other, taught.student_ids[0], other)
    ]

    assert days == [1, 0, 1, 0]


async def test_a_stranger_gets_nothing_for_knowing_the_tag(school: School, taught: Taught) -> None:
    answer = await school.send(
        "GET",
        paths(taught)["members"],
        role=Role.TEACHER,
        person_id=new_id(),
        headers={"If-None-Match": (await school.send("GET", paths(taught)["members"])).headers["etag"]},
    )

    assert answer.status_code == 404


async def test_a_zone_that_changes_while_lessons_are_read_is_that_of_the_next_answer(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = await school.a_taught_class()
    scope_of, changes = access.lesson_scope, iter([school.tell_zone("America/Chicago", version=2)])

    async def meanwhile(*asked: Any, **how: Any) -> Any:
        for change in changes:
            await change
        return await scope_of(*asked, **how)

    monkeypatch.setattr(access, "lesson_scope", meanwhile)
    await school.lessons(Role.TEACHER, taught.teacher_id)

    assert (await school.lessons(Role.TEACHER, taught.teacher_id))["time_zone"] == "America/Chicago"
