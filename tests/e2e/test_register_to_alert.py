"""The main job of the house, as its users do it: a register is taken, and a guardian hears of an absence, once."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import NORTH, OFFICES, SOUTH, House, change_school
from tests.e2e.district import GUARDIAN, QUIET_GUARDIAN, SECOND_TEACHER, STUDENT, TEACHER
from tools.front_end import Refused, Visitor, wait_for
from tools.topology import SERVICE_NAMES


def lesson_of(teacher: Visitor, period: str) -> dict[str, Any]:
    return next(each for each in teacher.get("/lessons")["items"] if each["period"] == period)


def save(teacher: Visitor, lesson: dict[str, Any], marks: dict[str, str], **more: Any) -> dict[str, Any]:
    """Mark students by their given names; everybody else who has no mark yet is present."""
    register = teacher.get(f"/lessons/{lesson['id']}/register")
    ids = {line["given_name"]: line["student_id"] for line in register["lines"]}
    return teacher.put(
        f"/lessons/{lesson['id']}/register",
        version=register["version"],
        marks=[{"student_id": ids[name], "code": code} for name, code in marks.items()],
        default_code="P",
        **more,
    )


def alerts_to(house: House, address: str, word: str) -> list[EmailMessage]:
    return [mail for mail in house.mailbox.mails_to(address) if word in mail["Subject"] + mail.get_content()]


def inbox(visitor: Visitor, word: str) -> list[dict[str, Any]]:
    return [each for each in visitor.get("/inbox")["items"] if word in each["title"] + each["body"]]


@contextmanager
def listening(house: House, visitor: Visitor) -> Generator[list[str]]:
    """The lines of the visitor's live stream, as they come through the gateway."""
    lines: list[str] = []
    headers = {"Authorization": f"Bearer {visitor.signed_in['access_token']}", "Accept": "text/event-stream"}
    client = httpx.Client(base_url=house.stack.url(), timeout=httpx.Timeout(30, read=30), trust_env=False)
    opened, ended = threading.Event(), threading.Event()

    def listen() -> None:
        with client.stream("GET", "/api/v1/inbox/stream", headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for line in response.iter_lines():
                lines.append(line)
                opened.set()
                if ended.is_set():
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert opened.wait(10), "the stream says at once how much is unread"
    yield lines
    ended.set()
    listener.join(20)
    client.close()


def test_the_import_reconciles_with_the_file(house: House) -> None:
    assert house.import_report["stored"] == house.import_report["totals"]
    assert house.import_report["totals"]["students"] == 13


def test_a_second_import_changes_nothing(house: House) -> None:
    from tests.e2e.district import district_zip  # noqa: PLC0415

    admin = house.platform_admin
    job = admin.upload("/imports", district_zip(house.today), "application/zip")
    job = admin.wait_for_import(job["id"], {"checked"})

    assert all((each["new"], each["changed"], each["gone"]) == (0, 0, 0) for each in job["report"]["diff"].values())


def test_the_platform_admin_reads_no_pupil(house: House) -> None:
    assert house.platform_admin.send("GET", "/students").status_code == 403


def test_a_teacher_sees_todays_own_lessons_in_the_schools_time(house: House) -> None:
    lessons = house.visitor(TEACHER, role="teacher").get("/lessons")

    assert lessons["day"] == str(house.today)
    assert [each["period"] for each in lessons["items"]] == ["1", "2"]
    assert lessons["items"][0]["starts_at"].startswith(f"{house.today}T00:10:00-0")


def test_an_absence_reaches_the_guardian_once_in_the_inbox_live_and_by_mail(house: House) -> None:
    guardian = house.visitor(GUARDIAN, school=NORTH)
    teacher = house.visitor(TEACHER, role="teacher")
    with listening(house, guardian) as lines:
        save(teacher, lesson_of(teacher, "1"), {"Ada": "A"}, reason="Not in the room")
        wait_for(lambda: inbox(guardian, "Ada"), "the alert in the inbox")
        wait_for(lambda: alerts_to(house, GUARDIAN, "Ada"), "the alert by mail")
        wait_for(lambda: [line for line in lines if "notification" in line], "the alert in the live stream")

    time.sleep(2)
    assert len(inbox(guardian, "Ada")) == 1
    assert len(alerts_to(house, GUARDIAN, "Ada")) == 1
    assert guardian.get("/inbox/unread-count")["unread_count"] >= 1
    assert alerts_to(house, QUIET_GUARDIAN, "Ada") == []
    assert inbox(house.visitor(QUIET_GUARDIAN), "Ada") == []


def test_a_correction_is_told_once(house: House) -> None:
    guardian = house.visitor(GUARDIAN, school=NORTH)
    teacher = house.visitor(TEACHER, role="teacher")
    save(teacher, lesson_of(teacher, "1"), {"Ben": "A"}, reason="Not in the room")
    wait_for(lambda: alerts_to(house, GUARDIAN, "Ben"), "the alert")

    save(teacher, lesson_of(teacher, "1"), {"Ben": "P"}, reason="Was in the library")

    wait_for(lambda: len(alerts_to(house, GUARDIAN, "Ben")) == 2, "the correction by mail")
    time.sleep(2)
    assert len(alerts_to(house, GUARDIAN, "Ben")) == 2
    assert len(inbox(guardian, "Ben")) == 2


def test_nobody_is_alerted_about_their_own_action(house: House) -> None:
    teacher = house.visitor(TEACHER, role="teacher")
    mother = house.visitor(TEACHER, role="guardian")

    save(teacher, lesson_of(teacher, "2"), {"Cy": "A"}, reason="Not in the room")

    time.sleep(3)
    assert inbox(mother, "Cy") == []
    assert [mail for mail in alerts_to(house, TEACHER, "Cy") if "invit" not in mail["Subject"]] == []


def test_what_is_corrected_within_the_grace_period_is_not_told(house: House) -> None:
    office = house.visitor(OFFICES[SOUTH])
    change_school(house.stack, office, grace_period_minutes=1)
    teacher = house.visitor(SECOND_TEACHER)
    lesson = lesson_of(teacher, "1")

    save(teacher, lesson, {"Dot": "A"}, reason="Not in the room")
    save(teacher, lesson, {"Dot": "P"}, reason="Came in just now")

    time.sleep(3)
    assert alerts_to(house, GUARDIAN, "Dot") == []
    assert inbox(house.visitor(GUARDIAN, school=SOUTH), "Dot") == []


def test_the_office_sees_what_was_delivered(house: House) -> None:
    office, teacher = house.visitor(OFFICES[NORTH]), house.visitor(TEACHER, role="teacher")
    save(teacher, lesson_of(teacher, "2"), {"Gus": "A"}, reason="Not in the room")

    sent = wait_for(
        lambda: [
            each
            for each in office.every("/deliveries", limit=100)
            if each["category"] == "absence_alert" and each["state"] == "sent"
        ],
        "a delivery that was sent",
    )

    assert all(each["attempts"] >= 1 for each in sent)
    assert teacher.send("GET", "/deliveries").status_code == 403


def test_one_login_switches_between_two_schools_and_sees_only_own_children(house: House) -> None:
    guardian = house.visitor(GUARDIAN)
    names = {each["school_name"] for each in guardian.signed_in["memberships"]}
    north = {each["given_name"] for each in guardian.choose(school=NORTH).get("/students")["items"]}
    south = {each["given_name"] for each in guardian.choose(school=SOUTH).get("/students")["items"]}

    assert names == {NORTH, SOUTH}
    assert (north, south) == ({"Ada", "Ben", "Fay", "Gus"}, {"Dot"})


def test_a_guardian_sees_the_childs_day_and_no_other_child(house: House) -> None:
    office = house.visitor(OFFICES[NORTH])
    ids = {each["given_name"]: each["id"] for each in office.get("/students")["items"]}
    guardian = house.visitor(GUARDIAN, school=NORTH)

    assert guardian.get(f"/students/{ids['Ada']}/day")["student_id"] == ids["Ada"]
    assert guardian.send("GET", f"/students/{ids['Cy']}/day").status_code == 404
    assert guardian.send("GET", f"/students/{ids['Cy']}/attendance").status_code == 404


def test_a_stale_register_gets_the_current_one(house: House) -> None:
    teacher = house.visitor(SECOND_TEACHER)
    lesson = lesson_of(teacher, "2")
    save(teacher, lesson, {"Eve": "P"}, reason="Is here")

    with pytest.raises(Refused) as refused:
        teacher.put(f"/lessons/{lesson['id']}/register", version=0, marks=[])

    assert refused.value.response.status_code == 409
    assert refused.value.response.json()["current"]["version"] >= 1


def test_a_student_sees_the_own_record_only(house: House) -> None:
    student = house.visitor(STUDENT)

    assert [each["given_name"] for each in student.get("/students")["items"]] == ["Ada"]
    assert student.send("GET", "/guardians").status_code == 403


def test_signing_out_ends_the_token_everywhere(house: House) -> None:
    visitor = house.visitor(QUIET_GUARDIAN)
    assert visitor.send("GET", "/students").status_code == 200

    visitor.send("POST", "/auth/sign-out")

    wait_for(lambda: visitor.send("GET", "/students").status_code == 401, "the token to end")


@pytest.mark.parametrize("path", ["/internal/roster", "/internal/service-tokens", "/health/../internal/roster"])
def test_what_services_tell_each_other_is_not_on_the_gateway(house: House, path: str) -> None:
    answer = httpx.request("POST", house.stack.url() + path, json={}, trust_env=False)

    assert answer.status_code in {400, 404, 405}
    assert "service" not in answer.headers.get("server", "")


def test_the_trace_of_a_register_reaches_into_the_mail(house: House) -> None:
    teacher = house.visitor(TEACHER, role="teacher")
    save(teacher, lesson_of(teacher, "1"), {"Fay": "A"}, reason="Not in the room")
    mail = wait_for(lambda: alerts_to(house, GUARDIAN, "Fay"), "the alert by mail")[0]
    trace_id = mail["traceparent"].split("-")[1]

    def services() -> set[str] | None:
        spans = [
            json.loads(line)
            for path in Path(house.stack.directory / "traces").glob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
        found = {each["service"] for each in spans if each["trace_id"] == trace_id}
        return found if {"gateway", "academic", "notification"} <= found else None

    assert wait_for(services, "the spans of all three")


def test_every_declared_operation_is_in_the_gateways_document(house: House) -> None:
    document = httpx.get(house.stack.url() + "/openapi.json", trust_env=False).json()
    declared = {
        (path, method)
        for name in SERVICE_NAMES
        for path, item in json.loads((Path("services") / name / "openapi.json").read_text())["paths"].items()
        for method in item
        if not path.startswith("/internal")
    }

    assert {(path, method) for path, item in document["paths"].items() for method in item} == declared


def test_the_docs_page_needs_nothing_from_elsewhere(house: House) -> None:
    page = httpx.get(house.stack.url() + "/docs", trust_env=False, follow_redirects=True)

    assert page.status_code == 200
    assert "//cdn" not in page.text
    assert "https://" not in page.text.replace("https://www.w3.org", "")
