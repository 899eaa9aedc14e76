"""Reported absences: they explain, and only for those who may say so."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest

from services.academic.absences import actions as absences
from services.academic.attendance import actions as attendance
from services.academic.attendance import queries as attendance_queries
from services.academic.explanations import rules as explaining
from services.academic.tests.factories import TODAY, School, Taught
from services.academic.tests.test_attendance_api import codes_of, days_told, register
from shared.contracts.academic import AbsenceReportChanged, AttendanceDayChanged
from shared.contracts.school import CalendarDay
from shared.identity import Role
from shared.ids import new_id
from shared.testing.bus import published
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack

TOMORROW = TODAY + timedelta(days=1)


class Family:
    """A taught class, and the guardian of its first student."""

    def __init__(self, school: School, taught: Taught, guardian_id: UUID) -> None:
        self.school, self.taught, self.guardian_id = school, taught, guardian_id
        self.ada, self.ben = taught.student_ids
        self.user_id = new_id()

    async def report(self, **body: Any) -> httpx.Response:
        headers = self.school.tokens.headers(
            Role.GUARDIAN, school_id=self.school.id, person_id=self.guardian_id, user_id=self.user_id
        )
        return await self.school.send("POST", "/absence-reports", headers=headers, json=a_report(self.ada, **body))

    async def reported(self, **body: Any) -> dict[str, Any]:
        answer = await self.report(**body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def withdraw(self, report: dict[str, Any], version: int = 1, **who: Any) -> httpx.Response:
        who = who or {"role": Role.GUARDIAN, "person_id": self.guardian_id}
        return await self.school.send(
            "PUT", f"/absence-reports/{report['id']}/withdrawal", json={"version": version}, **who
        )

    async def decide(self, report: dict[str, Any], state: str, version: int = 1, **more: Any) -> httpx.Response:
        body = {"version": version, "state": state, **more}
        return await self.school.send("PUT", f"/absence-reports/{report['id']}/decision", json=body)

    async def day(self, day: date = TODAY) -> dict[str, Any]:
        answer = await self.school.send(
            "GET", f"/students/{self.ada}/day", role=Role.GUARDIAN, person_id=self.guardian_id, params={"day": str(day)}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


def a_report(student_id: UUID, **body: Any) -> dict[str, Any]:
    days = {"starts_on": str(TODAY), "ends_on": str(TODAY)}
    given = {name: str(value) if isinstance(value, date) else value for name, value in body.items()}
    return {"student_id": str(student_id), "kind": "absence", "reason": "Fever", **days, **given}


@pytest.fixture
async def family(school: School) -> Family:
    taught = await school.a_taught_class()
    return Family(school, taught, await school.a_guardian_of(taught.student_ids[0]))


def reports_told(stack: Stack, school: School) -> list[tuple[str, int, AbsenceReportChanged]]:
    return [
        (each.subject, each.version, msgspec.json.decode(each.data, type=AbsenceReportChanged))
        for each in published(stack.database_url("academic"), school.id)
        if each.type == "academic.absence_report_changed.v1"
    ]


def told_of(stack: Stack, family: Family) -> list[AttendanceDayChanged]:
    return [each for each in days_told(stack, family.school) if each.student_id == family.ada]


async def test_a_reported_absence_prefills_the_register_and_alerts_nobody(family: Family, stack: Stack) -> None:
    report = await family.reported()

    shown = await register(family.school, family.taught)
    assert [line["prefill"] for line in shown["lines"]] == [{"code": "E", "absence_report_id": report["id"]}, None]
    answer = await family.school.save_register(family.taught, 0, {family.ada: "A", family.ben: "A"})

    assert codes_of(answer.json()) == ["A", "A"]
    told = {each.student_id: each for each in days_told(stack, family.school)}
    assert (told[family.ada].status, told[family.ada].is_unexplained_absence) == ("excused", False)
    assert told[family.ada].lessons == []
    assert told[family.ben].is_unexplained_absence
    day = await family.day()
    assert (day["status"], day["lessons"][0]["code"], day["lessons"][0]["is_explained"]) == ("excused", "A", True)


async def test_control_without_the_rule_of_cover_the_alert_goes_out(
    family: Family, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await family.reported()
    monkeypatch.setattr(explaining, "covers", lambda *_, **__: False)

    await family.school.save_register(family.taught, 0, {family.ada: "A"})

    assert told_of(stack, family)[-1].is_unexplained_absence


async def test_it_is_told_with_who_reported_it(family: Family, stack: Stack) -> None:
    report = await family.reported(ends_on=TOMORROW)

    [(subject, version, event)] = reports_told(stack, family.school)
    assert (subject, version) == (report["id"], 1)
    assert event == AbsenceReportChanged(
        absence_report_id=UUID(report["id"]),
        student_id=family.ada,
        guardian_id=family.guardian_id,
        kind="absence",
        starts_on=TODAY,
        ends_on=TOMORROW,
        state="pending",
        changed_by=family.user_id,
    )


async def test_what_stands_in_the_register_already_is_explained_too(family: Family, stack: Stack) -> None:
    await family.school.save_register(family.taught, 0, {family.ada: "A"})

    await family.reported()

    before, after = told_of(stack, family)
    assert (before.is_unexplained_absence, before.status) == (True, "absent")
    assert (after.is_unexplained_absence, after.status, after.changed_by) == (False, "excused", family.user_id)
    assert codes_of(await register(family.school, family.taught))[0] == "A"


async def test_what_one_report_leaves_unexplained_is_told_as_the_teachers_mark(school: School, stack: Stack) -> None:
    """Not as the guardian's, who is not told of what they did themselves."""
    maths = await school.a_taught_class("Maths", periods=("1",))
    family = Family(school, maths, await school.a_guardian_of(maths.student_ids[0]))
    art = await school.a_taught_class("Art", periods=("2",))
    await school.enrol(art.class_id, family.ada)
    for each in (maths, art):
        await school.save_register(each, 0, {family.ada: "A"})

    await family.reported(ends_at="08:30:00")

    both, rest = told_of(stack, family)[-2:]
    assert (both.lessons, rest.lessons) == (["Maths", "Art"], ["Art"])
    assert both.marked_by is not None
    assert rest.changed_by == family.user_id
    assert rest.marked_by == [each for each in both.marked_by if each == both.changed_by]


async def test_what_a_guardian_takes_back_is_told_as_the_teachers_mark(family: Family, stack: Stack) -> None:
    await family.school.save_register(family.taught, 0, {family.ada: "A"})
    report = await family.reported()

    await family.withdraw(report)

    marked, explained, again = told_of(stack, family)
    assert again.changed_by not in {marked.changed_by, family.user_id}
    assert (marked.marked_by, explained.marked_by, again.marked_by) == ([marked.changed_by], [], [marked.changed_by])


async def test_who_made_a_mark_is_not_shown_to_guardians(family: Family) -> None:
    await family.school.save_register(family.taught, 0, {family.ada: "A"})

    (lesson,) = (await family.day())["lessons"]

    assert lesson["code"] == "A"
    assert "recorded_by" not in lesson


async def test_leave_explains_once_it_is_accepted(family: Family, stack: Stack) -> None:
    leave = await family.reported(kind="leave")
    await family.school.save_register(family.taught, 0, {family.ada: "A"})
    assert (await register(family.school, family.taught))["lines"][0]["prefill"] is None

    accepted = await family.decide(leave, "accepted", answer="Have a good journey")
    refused = await family.decide(leave, "refused", version=2, answer="There is a test")

    assert (accepted.json()["state"], accepted.json()["version"]) == ("accepted", 2)
    assert (refused.json()["state"], refused.json()["answer"]) == ("refused", "There is a test")
    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [True, False, True]
    assert [(version, event.state) for _, version, event in reports_told(stack, family.school)] == [
        (1, "pending"),
        (2, "accepted"),
        (3, "refused"),
    ]


@pytest.mark.parametrize("end", ["refused", "withdrawn"])
async def test_what_explains_no_more_is_an_absence_again(family: Family, stack: Stack, end: str) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {family.ada: "A"})

    answer = await (family.withdraw(report) if end == "withdrawn" else family.decide(report, "refused"))

    assert answer.json()["state"] == end
    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False, True]
    assert (await family.day())["status"] == "absent"
    assert (await register(family.school, family.taught))["lines"][0]["prefill"] is None


@pytest.mark.parametrize("end", ["refused", "withdrawn"])
async def test_a_prefilled_mark_excuses_as_long_as_something_explains_it(
    family: Family, stack: Stack, end: str
) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")

    await (family.withdraw(report) if end == "withdrawn" else family.decide(report, "refused"))

    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False, True]
    day = await family.day()
    (lesson,) = day["lessons"]
    assert (day["status"], lesson["code"], lesson["kind"], lesson["is_alerting"]) == ("absent", "E", "absent", True)
    mark = (await register(family.school, family.taught))["lines"][0]["mark"]
    assert (mark["code"], mark["kind"], mark["is_alerting"], mark["is_prefilled"]) == ("E", "absent", True, True)


async def test_a_prefilled_mark_excuses_again_once_its_report_is_accepted_after_all(
    family: Family, stack: Stack
) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")
    await family.decide(report, "refused")

    await family.decide(report, "accepted", version=2)

    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False, True, False]
    assert (await family.day())["status"] == "excused"
    assert (await register(family.school, family.taught))["lines"][0]["mark"]["kind"] == "excused"


async def test_a_prefilled_mark_is_excused_by_any_report_in_effect(family: Family, stack: Stack) -> None:
    first, _ = await family.reported(), await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")

    await family.decide(first, "refused")

    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False]


async def test_saving_a_prefilled_mark_again_does_not_make_it_the_teachers_own(family: Family, stack: Stack) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")
    again = {family.ada: "E", family.ben: "A"}

    await family.school.save_register(family.taught, 1, again, reason="Ben was not there")
    await family.decide(report, "refused")
    await family.school.save_register(family.taught, 2, again)

    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False, True]


@pytest.mark.parametrize(("code", "status"), [("I", "excused"), ("P", "present"), ("A", "absent")])
async def test_what_a_teacher_marked_by_hand_follows_no_report(
    family: Family, stack: Stack, code: str, status: str
) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")
    await family.school.save_register(family.taught, 1, {family.ada: code}, reason="As it was")

    await family.decide(report, "refused")

    assert (await family.day())["status"] == status
    mark = (await register(family.school, family.taught))["lines"][0]["mark"]
    assert (mark["code"], mark["is_prefilled"]) == (code, False)


async def test_a_mark_that_was_excused_by_hand_at_once_stays_excused(family: Family, stack: Stack) -> None:
    report = await family.reported()
    await family.school.save_register(family.taught, 0, {family.ada: "I"}, default_code="P")

    await family.decide(report, "refused")

    assert [each.status for each in told_of(stack, family)] == ["excused"]


async def test_the_history_tells_which_marks_were_prefilled(family: Family) -> None:
    await family.reported()
    await family.school.save_register(family.taught, 0, {}, default_code="P")
    await family.school.save_register(family.taught, 1, {family.ada: "I"}, reason="Mail")

    answer = await family.school.send("GET", f"/lessons/{family.taught.lesson_id}/register/history")

    of_ada = [each for each in answer.json() if each["student_id"] == str(family.ada)]
    assert [(each["code"], each["is_prefilled"]) for each in of_ada] == [("E", True), ("I", False)]


async def test_of_two_reports_one_is_enough(family: Family, stack: Stack) -> None:
    first, _ = await family.reported(), await family.reported()
    await family.school.save_register(family.taught, 0, {family.ada: "A"})

    await family.decide(first, "refused")

    assert [each.is_unexplained_absence for each in told_of(stack, family)] == [False]


async def test_the_office_writes_one_down_for_any_student(family: Family, stack: Stack) -> None:
    answer = await family.school.send("POST", "/absence-reports", json=a_report(family.ben, kind="leave"))
    await family.school.save_register(family.taught, 0, {family.ben: "A"})

    assert (answer.json()["state"], answer.json()["guardian_id"]) == ("accepted", None)
    assert reports_told(stack, family.school)[0][2].guardian_id is None
    assert not any(each.is_unexplained_absence for each in days_told(stack, family.school))


async def test_part_of_a_day_explains_the_lessons_that_begin_in_it(school: School) -> None:
    taught = await school.a_taught_class(periods=("1", "2", "3"))
    family = Family(school, taught, await school.a_guardian_of(taught.student_ids[0]))
    await family.reported(starts_at="08:30:00", ends_at="10:00:00")

    lessons = (await school.lessons(Role.TEACHER, taught.teacher_id))["items"]
    prefilled = [
        (await register(school, msgspec.structs.replace(taught, lesson_id=lesson["id"])))["lines"][0]["prefill"]
        for lesson in lessons
    ]

    assert [each is not None for each in prefilled] == [False, True, False]


async def test_a_report_over_days_off_explains_the_days_around_them(school: School, stack: Stack) -> None:
    day_off = CalendarDay(day=TODAY - timedelta(days=1), kind="holiday", title="Fair")
    await school.tell_calendar(version=2, days=(day_off,))
    taught = await school.a_taught_class()
    family = Family(school, taught, await school.a_guardian_of(taught.student_ids[0]))
    earlier = await school.lessons(Role.TEACHER, taught.teacher_id, day=str(TODAY - timedelta(days=2)))
    before = msgspec.structs.replace(taught, lesson_id=earlier["items"][0]["id"])
    await school.save_register(before, 0, {family.ada: "A"})
    await school.save_register(taught, 0, {family.ada: "A"})

    await family.reported(starts_on=TODAY - timedelta(days=2), ends_on=TODAY)

    last = {each.day: each.is_unexplained_absence for each in told_of(stack, family)}
    assert last == {TODAY - timedelta(days=2): False, TODAY: False}


async def test_the_default_code_does_not_make_the_reported_present(family: Family) -> None:
    await family.reported()

    answer = await family.school.save_register(family.taught, 0, {}, default_code="P")

    assert codes_of(answer.json()) == ["E", "P"]


async def test_who_comes_all_the_same_is_marked_present(family: Family, stack: Stack) -> None:
    await family.reported()

    answer = await family.school.save_register(family.taught, 0, {family.ada: "P"}, default_code="P")

    assert codes_of(answer.json()) == ["P", "P"]
    assert told_of(stack, family)[-1].status == "present"


async def test_the_school_chooses_the_code_that_is_suggested(family: Family) -> None:
    ill = {"title": "Ill", "kind": "excused", "suggested_for": "absence"}
    chosen = await family.school.send("PUT", "/attendance-codes/I", json=ill)
    wrong = await family.school.send("PUT", "/attendance-codes/L", json={**ill, "kind": "late"})
    await family.reported()

    assert chosen.json()["suggested_for"] == "absence"
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/suggested_for")
    assert (await register(family.school, family.taught))["lines"][0]["prefill"]["code"] == "I"


async def test_a_school_without_such_a_code_still_shows_the_report(family: Family) -> None:
    for code in ("I", "E"):
        await family.school.send(
            "PUT", f"/attendance-codes/{code}", json={"title": code, "kind": "excused", "is_active": False}
        )
    report = await family.reported()

    shown = await register(family.school, family.taught)
    answer = await family.school.save_register(family.taught, 0, {}, default_code="A")

    assert shown["lines"][0]["prefill"] == {"code": None, "absence_report_id": report["id"]}
    assert codes_of(answer.json()) == ["A", "A"]


async def test_a_school_without_such_a_code_does_not_make_the_reported_present_by_default(family: Family) -> None:
    for code in ("I", "E"):
        await family.school.send(
            "PUT", f"/attendance-codes/{code}", json={"title": code, "kind": "excused", "is_active": False}
        )
    await family.reported()

    answer = await family.school.save_register(family.taught, 0, {}, default_code="P")
    marked = await family.school.save_register(family.taught, 1, {family.ada: "P"})

    assert [line["mark"] and line["mark"]["code"] for line in answer.json()["lines"]] == [None, "P"]
    assert codes_of(marked.json()) == ["P", "P"]


async def test_a_register_as_of_an_instant_suggests_nothing(family: Family) -> None:
    await family.reported()

    shown = await register(family.school, family.taught, as_of="2026-01-01T00:00:00Z")

    assert all(line["prefill"] is None for line in shown["lines"])


async def test_only_who_may_see_the_child_today_can_report(family: Family, other_school: School) -> None:
    school, yesterday = family.school, str(TODAY - timedelta(days=1))
    others = {
        "of another child": await school.a_guardian_of(family.ben),
        "of nobody": await school.a_guardian_of(),
        "ended": await school.a_guardian_of(family.ada, given_name="Ed", ends_on=yesterday),
        "to come": await school.a_guardian_of(family.ada, given_name="Cora", starts_on=str(TOMORROW)),
        "may not see": await school.a_guardian_of(family.ada, given_name="Nan", may_see=False),
    }

    async def post(school: School, role: str, person_id: UUID | None, student_id: UUID) -> int:
        body = a_report(student_id)
        return (await school.send("POST", "/absence-reports", role=role, person_id=person_id, json=body)).status_code

    for who, guardian_id in others.items():
        assert await post(school, Role.GUARDIAN, guardian_id, family.ada) == 404, who
    assert await post(school, Role.GUARDIAN, family.guardian_id, family.ben) == 404
    assert await post(other_school, Role.GUARDIAN, family.guardian_id, family.ada) == 404
    assert await post(other_school, Role.SCHOOL_ADMIN, None, family.ada) == 404
    assert await post(school, Role.TEACHER, family.taught.teacher_id, family.ada) == 403
    assert await post(school, Role.STUDENT, family.ada, family.ada) == 403
    assert (await school.client.post("/api/v1/absence-reports", json=a_report(family.ada))).status_code == 401
    assert await post(school, Role.GUARDIAN, family.guardian_id, family.ada) == 201


async def test_a_link_that_ended_takes_the_reports_out_of_sight(family: Family) -> None:
    report = await family.reported()
    [link] = (await family.school.send("GET", f"/guardian-links?guardian_id={family.guardian_id}")).json()["items"]
    ended = {"version": link["version"], "ends_on": str(TODAY - timedelta(days=1))}
    assert (await family.school.send("PATCH", f"/guardian-links/{link['id']}", json=ended)).is_success
    who: dict[str, Any] = {"role": Role.GUARDIAN, "person_id": family.guardian_id}

    shown = await family.school.send("GET", f"/absence-reports/{report['id']}", **who)
    listed = await family.school.send("GET", "/absence-reports", **who)
    withdrawn = await family.withdraw(report)

    assert (shown.status_code, listed.json()["items"], withdrawn.status_code) == (404, [], 404)
    assert (await register(family.school, family.taught))["lines"][0]["prefill"] is not None


async def test_the_other_parent_sees_that_but_not_why(family: Family) -> None:
    other = await family.school.a_guardian_of(family.ada, given_name="Olga")
    report = await family.reported()
    await family.decide(report, "accepted", answer="Get well")
    who: dict[str, Any] = {"role": Role.GUARDIAN, "person_id": other}

    shown = (await family.school.send("GET", f"/absence-reports/{report['id']}", **who)).json()
    [listed] = (await family.school.send("GET", "/absence-reports", **who)).json()["items"]
    withdrawn = await family.withdraw(report, 2, **who)

    assert shown == listed
    assert (shown["state"], shown["reason"], shown["answer"]) == ("accepted", None, None)
    assert withdrawn.status_code == 403
    own = await family.school.send(
        "GET", f"/absence-reports/{report['id']}", role=Role.GUARDIAN, person_id=family.guardian_id
    )
    assert (own.json()["reason"], own.json()["answer"]) == ("Fever", "Get well")


async def test_another_school_finds_no_report(family: Family, other_school: School) -> None:
    report = await family.reported()
    path = f"/absence-reports/{report['id']}"

    answers = [
        await other_school.send("GET", path),
        await other_school.send("GET", f"{path}/history"),
        await other_school.send("PUT", f"{path}/decision", json={"version": 1, "state": "refused"}),
        await other_school.send("GET", f"/absence-reports/{new_id()}"),
    ]

    assert [each.status_code for each in answers] == [404] * 4
    assert (await other_school.send("GET", "/absence-reports")).json()["items"] == []


async def test_deciding_is_for_the_office_and_withdrawing_for_guardians(family: Family) -> None:
    report = await family.reported()
    decision = {"version": 1, "state": "accepted"}
    path = f"/absence-reports/{report['id']}"

    for role in (Role.GUARDIAN, Role.TEACHER, Role.STUDENT):
        who: dict[str, Any] = {"role": role, "person_id": family.guardian_id}
        assert (await family.school.send("PUT", f"{path}/decision", json=decision, **who)).status_code == 403
        assert (await family.school.send("GET", f"{path}/history", **who)).status_code == 403
    assert (await family.withdraw(report, role=Role.SCHOOL_ADMIN)).status_code == 403
    for role in (Role.TEACHER, Role.STUDENT):
        assert (await family.school.send("GET", path, role=role, person_id=family.ada)).status_code == 403


async def test_the_stale_one_of_two_deciders_gets_the_report_as_it_is(family: Family) -> None:
    report = await family.reported()

    answers = await asyncio.gather(family.decide(report, "accepted"), family.decide(report, "refused"))

    assert sorted(each.status_code for each in answers) == [200, 409]
    stale = next(each for each in answers if each.status_code == 409).json()
    assert stale["type"].endswith("/stale-absence-report")
    assert stale["current"]["version"] == 2


async def test_the_same_decision_again_changes_nothing(family: Family, stack: Stack) -> None:
    report = await family.reported()
    await family.decide(report, "accepted")

    again = await family.decide(report, "accepted", version=2)

    assert again.json()["version"] == 2
    assert len(reports_told(stack, family.school)) == 2


async def test_a_report_is_withdrawn_while_it_is_pending_or_to_come(family: Family) -> None:
    pending = await family.reported()
    begun = await family.reported()
    to_come = await family.reported(kind="leave", starts_on=TOMORROW, ends_on=TOMORROW)
    refused = await family.reported()
    await family.decide(begun, "accepted")
    await family.decide(to_come, "accepted")
    await family.decide(refused, "refused")

    answers = [
        await family.withdraw(pending),
        await family.withdraw(to_come, 2),
        await family.withdraw(begun, 2),
        await family.withdraw(refused, 2),
        await family.withdraw(pending, 2),
        await family.decide(pending, "accepted", version=2),
        await family.withdraw(begun, 1),
    ]

    assert [each.status_code for each in answers] == [200, 200, 409, 409, 409, 409, 409]
    slugs = [each.json().get("type", "").rpartition("/")[2] for each in answers[2:]]
    assert slugs == ["absence-report-closed"] * 4 + ["stale-absence-report"]


async def test_every_decision_stays_in_the_history(family: Family, stack: Stack) -> None:
    report = await family.reported()
    await family.decide(report, "refused", answer="No")
    await family.decide(report, "accepted", version=2, answer="Yes after all")

    history = (await family.school.send("GET", f"/absence-reports/{report['id']}/history")).json()

    told = [(each["version"], each["state"], each["answer"]) for each in history]
    assert told == [(1, "pending", None), (2, "refused", "No"), (3, "accepted", "Yes after all")]
    for statement in ("UPDATE absence_report_change SET state = 'x'", "DELETE FROM absence_report_change"):
        with (
            psycopg.connect(stack.database_url("academic")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


async def test_the_office_finds_reports_by_state_day_and_student(family: Family) -> None:
    first = await family.reported()
    second = await family.reported(starts_on=TOMORROW, ends_on=TOMORROW)
    third = (await family.school.send("POST", "/absence-reports", json=a_report(family.ben))).json()
    await family.decide(second, "refused")

    async def found(**params: Any) -> list[str]:
        answer = await family.school.send("GET", "/absence-reports", params=params)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert await found() == [third["id"], second["id"], first["id"]]
    assert await found(state="pending") == [first["id"]]
    assert await found(day=str(TOMORROW)) == [second["id"]]
    assert await found(day=str(TODAY), state="accepted") == [third["id"]]
    assert await found(student_id=str(family.ben)) == [third["id"]]
    page = (await family.school.send("GET", "/absence-reports?limit=2")).json()
    rest = (
        await family.school.client.get(
            page["next"], headers=family.school.tokens.headers(Role.SCHOOL_ADMIN, school_id=family.school.id)
        )
    ).json()
    assert [each["id"] for each in page["items"] + rest["items"]] == [third["id"], second["id"], first["id"]]
    assert rest["next"] is None


async def test_a_guardian_lists_the_reports_of_all_their_children_only(family: Family) -> None:
    both = await family.school.a_guardian_of(family.ada, family.ben, given_name="Bo")
    own = await family.reported()
    sibling = (await family.school.send("POST", "/absence-reports", json=a_report(family.ben))).json()

    async def listed(person_id: UUID) -> list[str]:
        answer = await family.school.send("GET", "/absence-reports", role=Role.GUARDIAN, person_id=person_id)
        return [each["id"] for each in answer.json()["items"]]

    assert await listed(family.guardian_id) == [own["id"]]
    assert await listed(both) == [sibling["id"], own["id"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reason": ""}, 400),
        ({"reason": "x" * 1001}, 400),
        ({"reason": "a\x00b"}, 400),
        ({"reason": "two\nlines"}, 201),
        ({"kind": "holiday"}, 400),
        ({"ends_on": "soon"}, 400),
        ({"starts_at": "08:00:00Z"}, 400),
        ({"state": "accepted"}, 400),
        ({"guardian_id": str(UUID(int=1))}, 400),
        ({"ends_on": TODAY + timedelta(days=60)}, 422),
        ({"starts_on": TODAY - timedelta(days=15)}, 422),
        ({"starts_on": date.min, "ends_on": date.min}, 422),
        ({"starts_on": date.max, "ends_on": date.max}, 422),
    ],
    ids=["empty", "long", "nul", "lines", "kind", "no date", "zone", "state", "guardian", "wide", "old", "min", "max"],
)
async def test_what_cannot_be_reported_is_refused(family: Family, body: dict[str, Any], status: int) -> None:
    assert (await family.report(**body)).status_code == status


async def save_absent(family: Family) -> None:
    answer = await family.school.save_register(family.taught, 0, {family.ada: "A"})
    assert answer.status_code == 200, answer.text


async def report_it(family: Family) -> None:
    await family.reported()


Do = Callable[[Family], Coroutine[Any, Any, None]]

REPORT_FIRST = (absences, "derive_days_of_student", report_it, save_absent)
REGISTER_FIRST = (attendance, "derive_days", save_absent, report_it)


@pytest.mark.parametrize("order", [REPORT_FIRST, REGISTER_FIRST], ids=["report first", "register first"])
async def test_report_and_register_at_once_end_explained(
    family: Family, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str, Do, Do]
) -> None:
    module, name, first, second = order
    await one_held_up_by_the_other(
        stack, monkeypatch, module, name, first=partial(first, family), second=partial(second, family)
    )

    last = told_of(stack, family)[-1]
    assert (last.status, last.is_unexplained_absence) == ("excused", False)
    assert (await family.day())["status"] == "excused"


async def test_report_and_register_in_a_race_end_explained(school: School, stack: Stack) -> None:
    for number in range(8):
        taught = await school.a_taught_class(f"Class {number}", periods=("1",))
        family = Family(school, taught, await school.a_guardian_of(taught.student_ids[0]))

        await asyncio.gather(save_absent(family), report_it(family))

        assert not told_of(stack, family)[-1].is_unexplained_absence


async def test_reports_and_registers_of_many_days_do_not_wait_in_a_circle(school: School, stack: Stack) -> None:
    """Registers take the days of many students, reports many days of one."""
    taught = await school.a_taught_class()
    guardian_id = await school.a_guardian_of(*taught.student_ids)
    days = [TODAY - timedelta(days=number) for number in range(5)]
    lessons = [(await school.lessons(Role.TEACHER, taught.teacher_id, day=str(day)))["items"][0]["id"] for day in days]
    who: dict[str, Any] = {"role": Role.GUARDIAN, "person_id": guardian_id}

    async def take(lesson_id: str) -> int:
        of_that_day = msgspec.structs.replace(taught, lesson_id=lesson_id)
        return (await school.save_register(of_that_day, 0, {}, default_code="A")).status_code

    async def report(student_id: UUID) -> int:
        body = a_report(student_id, starts_on=days[-1])
        return (await school.send("POST", "/absence-reports", json=body, **who)).status_code

    answers = await asyncio.gather(
        *(take(lesson_id) for lesson_id in lessons), *(report(student_id) for student_id in taught.student_ids * 2)
    )

    assert answers == [200] * 5 + [201] * 4
    last = {(each.student_id, each.day): each.is_unexplained_absence for each in days_told(stack, school)}
    assert len(last) == 10
    assert not any(last.values())


async def test_control_without_the_lock_of_the_day_the_register_wins(
    school: School, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = await school.a_taught_class(periods=("1", "2"))
    family = Family(school, taught, await school.a_guardian_of(taught.student_ids[0]))
    await school.save_register(taught, 0, {family.ada: "P"})
    second = (await school.lessons(Role.TEACHER, taught.teacher_id))["items"][1]
    family.taught = msgspec.structs.replace(taught, lesson_id=second["id"])
    monkeypatch.setattr(attendance_queries, "LOCK_DAYS", "SELECT %(school_id)s, %(student_ids)s::uuid[], %(day)s")

    module, name, first, second = REPORT_FIRST
    await one_held_up_by_the_other(
        stack, monkeypatch, module, name, first=partial(first, family), second=partial(second, family)
    )

    assert told_of(stack, family)[-1].is_unexplained_absence


async def test_refusing_a_report_of_days_without_registers_tells_of_no_day(family: Family, stack: Stack) -> None:
    report = await family.reported(starts_on=TOMORROW, ends_on=TOMORROW)

    await family.decide(report, "refused")

    assert told_of(stack, family) == []
    days = await family.school.send("GET", f"/students/{family.ada}/attendance")
    assert days.json()["items"] == []
