"""A CSV of guardians that is taken over beside what the office did by hand (ADR 0710)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import psycopg
import pytest

from services.academic.guardians import actions, queries
from services.academic.tests.factories import TODAY, School
from services.academic.tests.test_guardians_api import HEADER, take_csv
from shared.identity import Role
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack

PHONES = f"{HEADER},phone"
FULL = f"{HEADER},may_see,receives_alerts,priority,starts_on,ends_on"
GIL = "ada,Gil,Gray,gil@example.org,parent"


class Office:
    """A school whose students have the names that its CSVs know them by, which come with a roster otherwise."""

    def __init__(self, school: School, stack: Stack) -> None:
        self.school, self._stack = school, stack
        self.children: dict[str, str] = {}

    async def child(self, sourced_id: str) -> str:
        student_id = str(await self.school.a_student(sourced_id))
        with psycopg.connect(self._stack.admin_url) as connection:
            connection.execute("UPDATE academic.student SET sourced_id = %s WHERE id = %s", (sourced_id, student_id))
        self.children[sourced_id] = student_id
        return student_id

    async def upload(self, *lines: str) -> dict[str, int]:
        """What was counted, by the dry run as by the real one."""
        told = await take_csv(self.school, *lines, dry_run=True)
        answer = await take_csv(self.school, *lines)
        assert answer.status_code == 200, answer.text
        counts = {name: count for name, count in answer.json().items() if name != "dry_run" and count}
        assert {name: count for name, count in told.json().items() if name != "dry_run" and count} == counts
        return counts

    async def refused(self, *lines: str) -> list[tuple[str, str]]:
        """Where and why, of the dry run as of the real one."""
        told = await take_csv(self.school, *lines, dry_run=True)
        answer = await take_csv(self.school, *lines)
        assert (told.status_code, answer.status_code) == (422, 422), answer.text
        assert told.json()["errors"] == answer.json()["errors"]
        return [(each["pointer"], each["detail"]) for each in answer.json()["errors"]]

    async def links(self, child: str = "ada") -> list[dict[str, Any]]:
        return (await self.school.send("GET", f"/guardian-links?student_id={self.children[child]}")).json()["items"]

    async def change_link(self, **change: Any) -> dict[str, Any]:
        """The one link of Ada."""
        link = (await self.links())[0]
        body = {"version": link["version"], **change}
        answer = await self.school.send("PATCH", f"/guardian-links/{link['id']}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def guardians(self) -> list[dict[str, Any]]:
        return (await self.school.send("GET", "/guardians")).json()["items"]

    async def change_guardian(self, guardian: dict[str, Any], **change: Any) -> None:
        body = {"version": guardian["version"], **change}
        answer = await self.school.send("PATCH", f"/guardians/{guardian['id']}", json=body)
        assert answer.status_code == 200, answer.text

    async def sees(self, guardian_id: str, child: str) -> bool:
        answer = await self.school.send(
            "GET", f"/students/{self.children[child]}", role=Role.GUARDIAN, person_id=guardian_id
        )
        return answer.status_code == 200


@pytest.fixture
async def office(school: School, stack: Stack) -> Office:
    office = Office(school, stack)
    await office.child("ada")
    await office.child("ben")
    return office


async def test_a_new_link_has_what_is_usual_where_the_file_says_nothing(office: Office) -> None:
    assert await office.upload(HEADER, GIL) == {"guardians_created": 1, "links_created": 1}

    link = (await office.links())[0]
    usual = {"may_see": True, "receives_alerts": True, "priority": 1, "starts_on": None, "ends_on": None}
    assert usual.items() <= link.items()
    assert await office.sees(link["guardian_id"], "ada")


@pytest.mark.parametrize("lines", [(HEADER, GIL), (FULL, f"{GIL},,,,,")], ids=["no column", "empty cells"])
async def test_what_the_office_took_away_stays_away_when_the_file_says_nothing_of_it(
    office: Office, lines: tuple[str, ...]
) -> None:
    await office.upload(*lines)
    taken = await office.change_link(
        may_see=False, receives_alerts=False, priority=3, starts_on="2026-01-01", ends_on=str(TODAY)
    )

    assert await office.upload(*lines) == {"links_unchanged": 1}

    assert await office.links() == [taken]
    assert not await office.sees(taken["guardian_id"], "ada")


async def test_a_link_that_has_ended_stays_so_whatever_else_the_file_says(office: Office) -> None:
    await office.upload(HEADER, GIL)
    ended = await office.change_link(ends_on="2026-01-31")

    assert await office.upload(FULL, f"{GIL},true,true,2,,") == {"links_changed": 1}

    link = (await office.links())[0]
    assert (link["priority"], link["ends_on"]) == (2, "2026-01-31")
    assert not await office.sees(ended["guardian_id"], "ada")


async def test_control_what_the_file_says_is_the_offices_word(office: Office) -> None:
    await office.upload(HEADER, GIL)
    taken = await office.change_link(may_see=False, receives_alerts=False, ends_on="2026-01-31")

    assert await office.upload(FULL, f"{GIL},true,no,2,2026-01-01,2999-12-31") == {"links_changed": 1}

    link = (await office.links())[0]
    said = {"may_see": True, "receives_alerts": False, "priority": 2, "starts_on": "2026-01-01"}
    assert ({**said, "ends_on": "2999-12-31", "version": taken["version"] + 1}).items() <= link.items()
    assert await office.sees(taken["guardian_id"], "ada")


async def test_a_link_that_the_office_deactivated_comes_back_by_no_file(office: Office) -> None:
    await office.upload(HEADER, GIL)
    ended = await office.change_link(is_active=False)

    [(pointer, reason)] = await office.refused(FULL, "ben,Gil,Gray,gil@example.org,parent,,,,,", f"{GIL},true,true,1,,")

    assert pointer == "line/3/student_sourced_id"
    assert "deactivated this link" in reason
    assert await office.links() == [ended]
    assert await office.links("ben") == []


async def test_control_a_link_that_the_office_brought_back_is_taken_over_again(office: Office) -> None:
    await office.upload(HEADER, GIL)
    await office.change_link(is_active=False)
    await office.change_link(is_active=True)

    assert await office.upload(HEADER, GIL) == {"links_unchanged": 1}


@pytest.mark.parametrize(
    ("cells", "pointer"),
    [("2026-07-01,", "line/2/starts_on"), (",2026-02-28", "line/2/ends_on")],
    ids=["begins after the end", "ends before the beginning"],
)
async def test_a_day_that_does_not_fit_the_link_that_is_there_is_a_fault(
    office: Office, cells: str, pointer: str
) -> None:
    await office.upload(HEADER, GIL)
    await office.change_link(starts_on="2026-03-01", ends_on="2026-06-30")

    assert [where for where, _ in await office.refused(FULL, f"{GIL},,,,{cells}")] == [pointer]


@pytest.mark.parametrize("line", [GIL, "ben,Gil,Gray,gil@example.org,parent"], ids=["linked", "new link"])
async def test_a_guardian_whom_the_office_deactivated_comes_back_by_no_file(office: Office, line: str) -> None:
    await office.upload(HEADER, GIL)
    await office.change_guardian((await office.guardians())[0], is_active=False)

    [(pointer, reason)] = await office.refused(HEADER, line)

    assert pointer == "line/2/guardian_email"
    assert "deactivated this guardian" in reason
    assert await office.links("ben") == []
    assert not (await office.guardians())[0]["is_active"]


async def test_every_fault_is_told_at_once(office: Office) -> None:
    await office.upload(FULL, f"{GIL},,,,,", "ben,Ann,Gray,ann@example.org,parent,,,,,")
    await office.change_link(is_active=False)
    ann = next(each for each in await office.guardians() if each["given_name"] == "Ann")
    await office.change_guardian(ann, is_active=False)

    faults = await office.refused(HEADER, GIL, "ben,Ann,Gray,ann@example.org,parent")

    assert [pointer for pointer, _ in faults] == ["line/2/student_sourced_id", "line/3/guardian_email"]


def john(child: str, phone: str = "", email: str = "") -> str:
    return f"{child},John,Smith,{email},father,{phone}"


async def guardian_of(office: Office, child: str) -> str:
    [link] = await office.links(child)
    return link["guardian_id"]


async def test_two_fathers_of_one_name_are_two_guardians(office: Office) -> None:
    counts = await office.upload(PHONES, john("ada", "+1 555 0100"), john("ben", "+1 555 0199"))

    assert counts == {"guardians_created": 2, "links_created": 2}
    first, second = await guardian_of(office, "ada"), await guardian_of(office, "ben")
    assert (await office.sees(first, "ada"), await office.sees(first, "ben")) == (True, False)
    assert (await office.sees(second, "ada"), await office.sees(second, "ben")) == (False, True)
    assert sorted(each["phone"] for each in await office.guardians()) == ["+1 555 0100", "+1 555 0199"]


@pytest.mark.parametrize("phone", ["", "555-0199", "555-0100"], ids=["none", "another", "the same"])
async def test_a_namesake_in_a_later_file_is_somebody_else(office: Office, phone: str) -> None:
    await office.upload(PHONES, john("ada", "555-0100"))

    assert await office.upload(PHONES, john("ben", phone)) == {"guardians_created": 1, "links_created": 1}

    assert not await office.sees(await guardian_of(office, "ada"), "ben")


async def test_the_same_file_again_makes_nobody_new(office: Office) -> None:
    lines = (PHONES, john("ada"), john("ben", "555-0199"), "ben,Joan,Smith,joan@example.org,mother,")
    await office.upload(*lines)

    assert await office.upload(*lines) == {"links_unchanged": 3}


async def test_control_siblings_have_one_father_by_his_phone(office: Office) -> None:
    counts = await office.upload(PHONES, john("ada", "(555) 0100"), john("ben", "555-0100"))

    assert counts == {"guardians_created": 1, "links_created": 2}
    assert await guardian_of(office, "ada") == await guardian_of(office, "ben")


async def test_control_siblings_have_one_father_by_his_mailbox(office: Office) -> None:
    await office.upload(PHONES, john("ada", email="john@example.org"))

    assert await office.upload(PHONES, john("ben", email="John@example.org")) == {"links_created": 1}


async def test_a_sibling_joins_the_father_who_is_known_by_a_line_of_one_phone(office: Office) -> None:
    await office.upload(PHONES, john("ada"))

    counts = await office.upload(PHONES, john("ben", "555-0100"), john("ada", "555-0100"))

    assert counts == {"links_created": 1, "links_unchanged": 1}
    assert await guardian_of(office, "ada") == await guardian_of(office, "ben")


@pytest.mark.parametrize("phone", ["", "-"], ids=["none", "a dash"])
async def test_siblings_without_mailbox_and_phone_have_a_guardian_each(office: Office, phone: str) -> None:
    counts = await office.upload(PHONES, john("ada", phone), john("ben", phone))

    assert counts == {"guardians_created": 2, "links_created": 2}


async def test_a_name_in_other_letters_is_known_at_its_child(office: Office) -> None:
    await office.upload(PHONES, john("ada"))

    assert await office.upload(PHONES, john("ada").upper().replace("ADA,", "ada,").replace("FATHER", "father")) == {
        "links_unchanged": 1
    }


@pytest.mark.parametrize(("known", "written"), [("İbrahim", "Ibrahim"), ("ΟΔΟΣ", "οδοσ"), ("ÉMILE", "émile")])
async def test_letters_are_compared_as_the_table_compares_them(office: Office, known: str, written: str) -> None:
    await office.upload(HEADER, f"ada,{known},Gray,gray@example.org,father")

    assert await office.upload(HEADER, f"ben,{written},Gray,gray@example.org,father") == {"links_created": 1}


@pytest.mark.parametrize("phone", ["", "555-0199"], ids=["no phone", "another phone"])
async def test_one_name_twice_for_one_child_is_a_fault(office: Office, phone: str) -> None:
    [(pointer, reason)] = await office.refused(PHONES, john("ada"), john("ada", phone))

    assert pointer == "line/3"
    assert "as in line 2" in reason


async def test_a_guardian_whose_mailbox_the_office_added_stays_known_by_the_child(office: Office) -> None:
    await office.upload(PHONES, john("ada"))
    await office.change_guardian((await office.guardians())[0], email="john@example.org")

    assert await office.upload(PHONES, john("ada")) == {"links_unchanged": 1}


async def test_father_and_grandfather_of_one_name_are_told_apart_by_a_mailbox(office: Office) -> None:
    lines = (PHONES, john("ada"), john("ada", email="john@example.org"))

    assert await office.upload(*lines) == {"guardians_created": 2, "links_created": 2}
    assert await office.upload(*lines) == {"links_unchanged": 2}


async def link_another_john(office: Office, phone: str | None) -> str:
    made = await office.school.made("/guardians", given_name="John", family_name="Smith", phone=phone)
    body = {"guardian_id": made["id"], "student_id": office.children["ada"], "relation": "grandfather"}
    return (await office.school.made("/guardian-links", **body))["id"]


async def test_who_is_meant_among_several_of_one_name_is_not_guessed(office: Office) -> None:
    await office.upload(PHONES, john("ada"))
    await link_another_john(office, "555-0100")

    [(pointer, reason)] = await office.refused(PHONES, john("ada"))

    assert pointer == "line/2/guardian_email"
    assert "Several guardians" in reason
    assert await office.upload(PHONES, john("ada", "555 0100")) == {"links_changed": 1}


async def test_control_a_doubled_guardian_whose_link_the_office_ended_is_not_meant(office: Office) -> None:
    await office.upload(PHONES, john("ada"))
    link_id = await link_another_john(office, None)
    await office.school.send("PATCH", f"/guardian-links/{link_id}", json={"version": 1, "is_active": False})

    assert await office.upload(PHONES, john("ada")) == {"links_unchanged": 1}


async def test_two_lines_that_turn_out_to_be_one_guardian_are_a_fault(office: Office) -> None:
    """Ben's line is John's by his child, Ada's by Ben's phone, and Ada has him by his mailbox already."""
    await office.upload(PHONES, john("ada", email="john@example.org"), john("ben", email="john@example.org"))

    lines = (john("ada", email="john@example.org"), john("ben", "555-0100"), john("ada", "555-0100"))
    [(pointer, reason)] = await office.refused(PHONES, *lines)

    assert pointer == "line/4"
    assert "as in line 2" in reason


async def two_at_once(
    office: Office, stack: Stack, monkeypatch: pytest.MonkeyPatch, *lines: str
) -> list[httpx.Response]:
    """The second begins when the first has written and not committed."""
    answers: list[httpx.Response] = []

    async def upload() -> None:
        answers.append(await take_csv(office.school, *lines))

    await one_held_up_by_the_other(stack, monkeypatch, actions, "tell_of_guardians", first=upload, second=upload)
    return answers


async def test_two_uploads_at_once_take_turns(office: Office, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = await two_at_once(office, stack, monkeypatch, PHONES, f"{GIL},", john("ben"))

    assert [each.status_code for each in answers] == [200, 200]
    assert [each.json()["links_created"] for each in answers] == [2, 0]
    assert len(await office.guardians()) == 2
    assert [len(await office.links(child)) for child in ("ada", "ben")] == [1, 1]


async def test_uploads_in_a_race_double_nothing(office: Office) -> None:
    lines = (PHONES, f"{GIL},", john("ben"))

    answers = await asyncio.gather(*(take_csv(office.school, *lines) for _ in range(4)))

    assert [each.status_code for each in answers] == [200] * 4
    assert len(await office.guardians()) == 2


async def test_control_without_the_lock_a_guardian_is_doubled(
    office: Office, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOCK_CSV", "SELECT %(school_id)s::text")

    await two_at_once(office, stack, monkeypatch, PHONES, john("ben"))

    assert len(await office.guardians()) == 2


async def test_control_without_the_lock_a_mailbox_is_not_doubled_either(
    office: Office, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOCK_CSV", "SELECT %(school_id)s::text")

    answers = await two_at_once(office, stack, monkeypatch, HEADER, GIL)

    assert sorted(each.status_code for each in answers) == [200, 409]
    assert len(await office.guardians()) == 1


async def upload_beside(
    office: Office, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], do: Callable[[], Coroutine[Any, Any, Any]]
) -> httpx.Response:
    """The answer to an upload when somebody does something else after it has read, before it writes."""
    write = actions._write

    async def after_that(*args: Any, **how: Any) -> None:
        await do()
        await write(*args, **how)

    monkeypatch.setattr(actions, "_write", after_that)
    return await take_csv(office.school, *lines)


async def test_a_file_that_would_write_over_what_somebody_did_meanwhile_is_uploaded_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.upload(HEADER, GIL)
    lines = (FULL, f"{GIL},true,true,2,,")

    answer = await upload_beside(office, monkeypatch, lines, lambda: office.change_link(may_see=False))

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/guardians-changed-meanwhile"
    assert [each["pointer"] for each in answer.json()["errors"]] == ["line/2"]
    assert "again" in answer.json()["detail"]
    link = (await office.links())[0]
    assert (link["may_see"], link["priority"], link["version"]) == (False, 1, 2)


async def test_a_guardian_who_was_added_meanwhile_is_not_doubled(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"given_name": "Gil", "family_name": "Gray", "email": "gil@example.org"}

    answer = await upload_beside(office, monkeypatch, (HEADER, GIL), lambda: office.school.made("/guardians", **body))

    assert answer.status_code == 409
    assert len(await office.guardians()) == 1
    monkeypatch.undo()
    assert await office.upload(HEADER, GIL) == {"links_created": 1}


async def test_a_link_that_was_added_meanwhile_is_not_doubled(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.upload(HEADER, GIL)
    line = "ben,Gil,Gray,gil@example.org,parent"
    body = {
        "guardian_id": (await office.guardians())[0]["id"],
        "student_id": office.children["ben"],
        "relation": "parent",
        "may_see": False,
    }

    answer = await upload_beside(
        office, monkeypatch, (HEADER, line), lambda: office.school.made("/guardian-links", **body)
    )

    assert answer.status_code == 409
    assert [link["may_see"] for link in await office.links("ben")] == [False]
    monkeypatch.undo()
    assert await office.upload(HEADER, line) == {"links_unchanged": 1}
