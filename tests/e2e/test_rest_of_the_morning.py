"""What else a school does on a morning, as its people do it: through the gateway, and told in inboxes and mails."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from services.communication.tests.files import PDF, pdf
from shared.ids import new_id
from tests.e2e.conftest import NORTH, OFFICES, WEST, House, change_school
from tests.e2e.district import GUARDIAN, HANA, IRA, JOAN, MONA, WEST_TEACHER
from tools import seed
from tools.front_end import Visitor, wait_for

TEN_MEGABYTES = 10 * 1024 * 1024


@pytest.fixture
def office(house: House) -> Visitor:
    return house.visitor(OFFICES[WEST])


@pytest.fixture
def teacher(house: House) -> Visitor:
    return house.visitor(WEST_TEACHER)


def the_class(office: Visitor, name: str) -> str:
    return next(each["id"] for each in office.every("/classes") if each["title"] == f"{name} West")


def student(visitor: Visitor, name: str) -> str:
    return next(each["id"] for each in visitor.every("/students") if each["given_name"] == name)


def lesson(teacher: Visitor, name: str, **when: Any) -> dict[str, Any]:
    lessons = teacher.get("/lessons", **when)["items"]
    return next(each for each in lessons if each["class_title"] == f"{name} West")


def lines_of(teacher: Visitor, lesson_id: str) -> tuple[int, dict[str, Any]]:
    """The version of a register, and its lines by given name."""
    register = teacher.get(f"/lessons/{lesson_id}/register")
    return register["version"], {line["given_name"]: line for line in register["lines"]}


def mark(teacher: Visitor, lesson_id: str, **codes: str) -> None:
    version, lines = lines_of(teacher, lesson_id)
    marks = [{"student_id": lines[name]["student_id"], "code": code} for name, code in codes.items()]
    teacher.put(f"/lessons/{lesson_id}/register", version=version, marks=marks, default_code="P")


def told(visitor: Visitor, category: str, word: str = "") -> list[dict[str, Any]]:
    """What stands in an inbox."""
    return [
        each
        for each in visitor.every("/inbox")
        if each["category"] == category and word in each["title"] + each["body"] + each["deep_link"]
    ]


def mails(house: House, address: str, word: str) -> list[EmailMessage]:
    return [mail for mail in house.mailbox.mails_to(address) if word in mail["Subject"] + mail.get_content()]


def soon(look: Callable[[], Any], what: str) -> Any:
    return wait_for(look, what, timeout_s=60)


def guardians_of(class_id: str) -> dict[str, Any]:
    return {"include": [{"kind": "class", "class_id": class_id, "who": ["guardian"]}]}


def send(author: Visitor, title: str, audience: dict[str, Any], **fields: Any) -> str:
    """Write an announcement and send it now."""
    made = author.post("/announcements", title=title, body=f"{title}, says the office.", audience=audience, **fields)
    author.post(f"/announcements/{made['announcement_id']}/send", version=made["version"])
    return made["announcement_id"]


def upload(visitor: Visitor, content: bytes, name: str) -> str:
    """As a browser does it: the parts go to the store, the gateway sees none of them."""
    made = visitor.post("/files", name=name, size_bytes=len(content), media_type=PDF)
    plan = made["upload"]
    assert len(plan["parts"]) > 1, "what is larger than 8 MB goes up in parts"
    for part in reversed(plan["parts"]):
        body = content[part["offset"] : part["offset"] + part["size_bytes"]]
        answer = httpx.put(part["url"], content=body, headers=plan["headers"], timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
    assert visitor.post(f"/files/{made['file']['id']}/complete")["state"] == "ready"
    return made["file"]["id"]


def with_key(visitor: Visitor, path: str, key: str, **body: Any) -> httpx.Response:
    return visitor.send("POST", path, json=body, headers={"Idempotency-Key": key})


def test_an_announcement_and_its_file_reach_the_guardians_of_a_class_once_and_nobody_else(
    house: House, office: Visitor
) -> None:
    content = pdf(TEN_MEGABYTES)
    file_id = upload(office, content, "Trip.pdf")
    audience = guardians_of(the_class(office, "Art"))
    readers = {address: house.visitor(address) for address in (HANA, IRA)}

    preview = office.post("/announcements/preview", audience=audience)
    announcement_id = send(office, "Trip to the lake", audience, file_ids=[file_id])

    assert preview["recipients"] == len(readers)
    path = f"/announcements/{announcement_id}"
    for address, reader in readers.items():
        soon(lambda reader=reader: told(reader, "announcement", announcement_id), f"the inbox of {address}")
        soon(lambda address=address: mails(house, address, "Trip to the lake"), f"the mail to {address}")
        assert [each["name"] for each in reader.get(path)["files"]] == ["Trip.pdf"]
        url = reader.get(f"{path}/files/{file_id}")["url"]
        assert httpx.get(url, timeout=60, trust_env=False).content == content
    for stranger in (house.visitor(JOAN), house.visitor(GUARDIAN, school=NORTH)):
        assert stranger.send("GET", path).status_code == 404
        assert stranger.send("GET", f"{path}/files/{file_id}").status_code == 404
        assert told(stranger, "announcement", announcement_id) == []
    time.sleep(2)
    assert [len(told(reader, "announcement", announcement_id)) for reader in readers.values()] == [1, 1]
    assert [len(mails(house, address, "Trip to the lake")) for address in readers] == [1, 1]


def test_the_office_sees_how_many_have_it_and_how_many_have_read_it(house: House, office: Visitor) -> None:
    announcement_id = send(office, "Lost gloves", guardians_of(the_class(office, "Art")))
    path = f"/announcements/{announcement_id}"

    def counted() -> tuple[int, int, int]:
        receipts = office.get(f"{path}/receipts")
        return receipts["recipients"], receipts["delivered"], receipts["read"]

    soon(lambda: counted() == (2, 2, 0), "two deliveries")
    ira = house.visitor(IRA)
    ira.post(f"{path}/read")
    ira.post(f"{path}/read")

    assert counted() == (2, 2, 1)
    unread = office.get(f"{path}/recipients", read_state="unread")["items"]
    assert [each["given_name"] for each in unread] == ["Hana"]


def test_an_edit_is_silent_and_what_is_withdrawn_is_gone(house: House, office: Visitor) -> None:
    announcement_id = send(office, "Bake sale", guardians_of(the_class(office, "Art")))
    path = f"/announcements/{announcement_id}"
    hana = house.visitor(HANA)
    soon(lambda: told(hana, "announcement", announcement_id), "the announcement")
    soon(lambda: mails(house, HANA, "Bake sale"), "its mail")

    written = office.get(f"/announcements/written/{announcement_id}")
    office.patch(path, version=written["version"], body="Bake sale, on Friday.")
    soon(lambda: told(hana, "announcement", "Bake sale, on Friday."), "the inbox to say what it says now")
    time.sleep(2)
    assert hana.get(path)["body"] == "Bake sale, on Friday."
    assert len(told(hana, "announcement", announcement_id)) == 1
    assert len(mails(house, HANA, "Bake sale")) == 1

    office.post(f"{path}/withdraw")
    assert hana.send("GET", path).status_code == 404
    soon(lambda: not told(hana, "announcement", announcement_id), "the inbox to forget it")
    assert announcement_id not in [each["announcement_id"] for each in hana.every("/announcements")]


def test_a_reported_absence_alerts_nobody_until_the_office_refuses_it(
    house: House, office: Visitor, teacher: Visitor
) -> None:
    joan, music = house.visitor(JOAN), lesson(teacher, "Music")
    report = joan.post(
        "/absence-reports",
        student_id=student(joan, "Jo"),
        kind="absence",
        starts_on=music["day"],
        ends_on=music["day"],
        reason="A cold",
    )
    _, lines = lines_of(teacher, music["id"])
    assert lines["Jo"]["prefill"]["absence_report_id"] == report["id"]
    assert lines["Kim"]["prefill"] is None

    assert mails(house, JOAN, "Kim") == []
    mark(teacher, music["id"], Jo="A", Kim="A")
    soon(lambda: told(joan, "absence_alert", "Kim"), "the alert of the child that nobody reported")
    soon(lambda: mails(house, JOAN, "Kim"), "its mail")
    time.sleep(2)
    assert told(joan, "absence_alert", "Jo") == []
    assert joan.get(f"/students/{student(joan, 'Jo')}/day")["status"] == "excused"

    office.put(
        f"/absence-reports/{report['id']}/decision", version=report["version"], state="refused", answer="He was seen"
    )
    soon(lambda: told(joan, "absence_alert", "Jo"), "the alert of the child whose report was refused")
    assert joan.get(f"/students/{student(joan, 'Jo')}/day")["status"] == "absent"
    soon(lambda: told(joan, "absence_answer", "He was seen"), "the answer of the office")
    assert len(told(joan, "absence_alert", "Jo")) == 1
    assert len(told(joan, "absence_alert", "Kim")) == 1


def test_a_missing_register_is_told_to_its_teacher_once_then_to_the_office_and_to_nobody_once_it_is_saved(
    house: House, office: Visitor, teacher: Visitor
) -> None:
    chess, dance = lesson(teacher, "Chess"), lesson(teacher, "Dance")

    def reminders(visitor: Visitor) -> list[str]:
        return sorted(each["deep_link"] for each in told(visitor, "register_reminder") if each["deep_link"] in links)

    links = [f"/lessons/{each['id']}/register" for each in (chess, dance)]
    assert reminders(teacher) == []

    change_school(house.stack, office, register_reminder_minutes=5)
    soon(lambda: reminders(teacher) == sorted(links), "one reminder of each lesson")
    assert reminders(office) == []
    soon(lambda: mails(house, WEST_TEACHER, links[0]), "the mail of the lesson that nobody saves yet")

    mark(teacher, dance["id"])
    soon(lambda: reminders(teacher) == links[:1], "the reminder to go once its register is saved")
    change_school(house.stack, office, register_escalation_minutes=10)
    soon(lambda: reminders(office) == links[:1], "the office to hear of what nobody saved meanwhile")
    missing = {each["lesson_id"]: each for each in office.get("/missing-registers", day=chess["day"])["items"]}
    assert f"/api/v1{links[0]}".endswith(missing[chess["id"]]["register"].removeprefix("/api/v1"))
    assert dance["id"] not in missing

    mark(teacher, chess["id"])
    soon(lambda: (reminders(teacher), reminders(office)) == ([], []), "all reminders to go")
    time.sleep(3)
    assert (reminders(teacher), reminders(office)) == ([], [])
    assert len(mails(house, WEST_TEACHER, links[0])) == 1
    assert chess["id"] not in [each["lesson_id"] for each in office.get("/missing-registers")["items"]]
    change_school(house.stack, office, register_reminder_minutes=0, register_escalation_minutes=0)


@pytest.mark.parametrize("frequency", ["daily_digest", "never"])
def test_who_wants_no_mails_of_announcements_gets_none_at_once_and_finds_them_in_the_app(
    house: House, office: Visitor, frequency: str
) -> None:
    mona, title = house.visitor(MONA), f"Choir {frequency}"
    choose(mona, [("announcements", "email", frequency)])

    announcement_id = send(office, title, guardians_of(the_class(office, "Drama")))
    soon(lambda: told(mona, "announcement", announcement_id), "it in the app")
    time.sleep(2)

    assert mails(house, MONA, title) == []
    assert frequency_of(mona, "announcements", "email") == frequency


def test_what_the_school_insists_on_cannot_be_muted_and_comes_by_mail(
    house: House, office: Visitor, teacher: Visitor
) -> None:
    mona = house.visitor(MONA)
    policy = office.get("/notification-policy")
    refused = mona.send("PUT", "/notification-preferences", json={"choices": [choice("absences", "email", "never")]})
    choose(mona, [("announcements", "email", "never"), ("announcements", "in_app", "never")])

    assert mails(house, MONA, "Max") == []
    mark(teacher, lesson(teacher, "Drama")["id"], Max="A")
    soon(lambda: told(mona, "absence_alert", "Max"), "the alert in the app")
    soon(lambda: mails(house, MONA, "Max"), "the alert by mail")

    assert "absences" in policy["at_once"]
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "mandatory-notice")
    assert frequency_of(mona, "absences", "email") == "at_once"
    assert mona.send("GET", "/notification-policy").status_code == 403


def choice(group: str, channel: str, frequency: str) -> dict[str, str]:
    return {"group": group, "channel": channel, "frequency": frequency}


def choose(visitor: Visitor, choices: Sequence[tuple[str, str, str]]) -> None:
    visitor.put("/notification-preferences", choices=[choice(*each) for each in choices])


def frequency_of(visitor: Visitor, group: str, channel: str) -> str:
    return next(
        each["frequency"]
        for each in visitor.get("/notification-preferences")["effective"]
        if (each["student_id"], each["group"], each["channel"]) == (None, group, channel)
    )


def test_a_request_that_is_sent_again_with_its_key_has_its_effect_once(office: Visitor) -> None:
    key, audience = str(new_id()), guardians_of(the_class(office, "Art"))
    body = {"title": "Sent again", "body": "Once.", "audience": audience}

    first, again = (with_key(office, "/announcements", key, **body) for _ in range(2))
    other = with_key(office, "/announcements", key, **body | {"title": "Something else"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.json()["type"].rpartition("/")[2] == "idempotency-key-reused"
    titles = [each["title"] for each in office.every("/announcements/written")]
    assert (titles.count("Sent again"), titles.count("Something else")) == (1, 0)


def test_who_has_an_answer_already_gets_nothing_until_it_changes(house: House, office: Visitor) -> None:
    teacher, day = house.visitor(WEST_TEACHER), str(house.west_today + timedelta(days=3))
    cancelled = lesson(teacher, "Dance", day=day)

    def cancel() -> None:
        office.patch(f"/lessons/{cancelled['id']}", version=cancelled["version"], is_cancelled=True)

    def close() -> None:
        office.put(f"/calendar-days/{day}", kind="holiday", title="Fair")

    for path, change, word in (
        (f"/lessons?day={day}", cancel, '"is_cancelled":true'),
        ("/calendar-days", close, "Fair"),
    ):
        first = teacher.send("GET", path)
        again = ask_again(teacher, path, first)
        change()
        changed = ask_again(teacher, path, first)

        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert changed.status_code == 200
        assert changed.headers["ETag"] != first.headers["ETag"]
        assert (word in first.text, word in changed.text) == (False, True)
        assert ask_again(teacher, path, changed).status_code == 304
    office.send("DELETE", f"/calendar-days/{day}")


def ask_again(visitor: Visitor, path: str, answer: httpx.Response) -> httpx.Response:
    return visitor.send("GET", path, headers={"If-None-Match": answer.headers["ETag"]})


def test_lessons_follow_an_early_close_and_come_back_with_the_bells(house: House, office: Visitor) -> None:
    teacher = house.visitor(WEST_TEACHER)
    tomorrow = house.west_today + timedelta(days=1)

    def hours() -> list[tuple[str, str]]:
        lessons = teacher.get("/lessons", day=str(tomorrow))["items"]
        return [(each["starts_at"][11:16], each["ends_at"][11:16]) for each in lessons if not each["is_cancelled"]]

    whole = [(f"{hour:02}:00", f"{hour:02}:40") for hour in range(7, 12)]
    soon(lambda: hours() == whole, "the lessons of a day like others")

    office.put(f"/calendar-days/{tomorrow}", kind="special", title="Snow", closes_at="09:30:00")
    soon(lambda: hours() == [*whole[:2], ("09:00", "09:30")], "the lessons of a short day")
    assert teacher.get("/lessons", day=str(tomorrow))["special_day"] == "Snow"
    office.put(f"/calendar-days/{tomorrow}", kind="special", title="Snow", closes_at="09:10:00")
    soon(lambda: hours() == whole[:2], "the lesson to go of which too little is left")

    office.send("DELETE", f"/calendar-days/{tomorrow}")
    soon(lambda: hours() == whole, "the lessons to come back")


def test_the_demos_announcement_and_absence_are_there_once_however_often_they_are_loaded(
    house: House, office: Visitor
) -> None:
    hana = house.visitor(HANA)
    seed.announce(office)
    seed.report_absence(hana)
    soon(lambda: told(hana, "announcement", seed.ANNOUNCEMENT["title"]), "the announcement")

    seed.announce(office)
    seed.report_absence(hana)

    time.sleep(1)
    assert len(told(hana, "announcement", seed.ANNOUNCEMENT["title"])) == 1
    reports = list(hana.every("/absence-reports"))
    assert [(each["kind"], each["starts_on"]) for each in reports] == [
        ("absence", str(house.west_today + timedelta(days=1)))
    ]


def test_an_announcement_of_the_demo_that_was_written_and_not_sent_is_sent(house: House) -> None:
    office, gil = house.visitor(OFFICES[NORTH]), house.visitor(GUARDIAN, school=NORTH)
    office.post("/announcements", **seed.ANNOUNCEMENT)

    seed.announce(office)

    soon(lambda: told(gil, "announcement", seed.ANNOUNCEMENT["title"]), "the announcement")
    titles = [each["title"] for each in office.every("/announcements/written")]
    assert titles.count(seed.ANNOUNCEMENT["title"]) == 1
