"""The whole house, with a district in it, made as people make it: through the gateway and out of the mailbox."""

import re
from collections.abc import Generator
from datetime import date, datetime
from http.client import NOT_FOUND
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.e2e.district import (
    GUARDIAN,
    GUARDIANS,
    QUIET_GUARDIAN,
    SCHOOLS,
    SECOND_TEACHER,
    STUDENT,
    TEACHER,
    district_zip,
)
from tools.front_end import Mailbox, Refused, Visitor, wait_for
from tools.stack import Stack

TIME_ZONE = "America/Chicago"
PASSWORD = "a good long password of one's own"
OFFICES = {SCHOOLS[0]: "office@north.example", SCHOOLS[1]: "office@south.example"}


class House(msgspec.Struct, frozen=True, kw_only=True):
    """The stack, and who can come in."""

    stack: Stack
    mailbox: Mailbox
    import_report: dict[str, Any]

    def visitor(self, address: str, *, school: str | None = None, role: str | None = None) -> Visitor:
        visitor = Visitor(self.stack.url()).sign_in(address, PASSWORD)
        if school or role:
            visitor.choose(school=school, role=role)
        return visitor

    @property
    def platform_admin(self) -> Visitor:
        return Visitor(self.stack.url()).sign_in(self.stack.secrets.bootstrap_email, PASSWORD)

    @property
    def today(self) -> date:
        return datetime.now(ZoneInfo(TIME_ZONE)).date()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    directory: Path = tmp_path_factory.mktemp("house")
    with Stack(directory, env={"LOG_LEVEL": "WARNING"}) as stack:
        mailbox = Mailbox(stack.mail_directory)
        admin = Visitor(stack.url()).sign_in(stack.secrets.bootstrap_email, stack.secrets.bootstrap_password)
        changed = admin.post("/auth/password", current_password=stack.secrets.bootstrap_password, new_password=PASSWORD)
        report = import_district(admin.carry(changed))
        for school in admin.get("/schools")["items"]:
            open_school(stack, mailbox, admin, school)
        come_in(stack, mailbox)
        yield House(stack=stack, mailbox=mailbox, import_report=report)


def import_district(admin: Visitor) -> dict[str, Any]:
    today = datetime.now(ZoneInfo(TIME_ZONE)).date()
    job = admin.upload("/imports", district_zip(today), "application/zip")
    job = admin.wait_for_import(job["id"], {"checked", "rejected"})
    assert job["state"] == "checked", job
    admin.post(f"/imports/{job['id']}/apply")
    job = admin.wait_for_import(job["id"], {"applied", "failed"})
    assert job["state"] == "applied", job
    return job["report"]


def open_school(stack: Stack, mailbox: Mailbox, admin: Visitor, school: dict[str, Any]) -> None:
    """From the invite of the office to the invites of everybody."""
    address = OFFICES[school["name"]]

    def invited() -> bool:
        try:
            admin.post("/admin-invites", school_id=school["school_id"], email=address, name="The office")
        except Refused as error:
            if error.response.status_code != NOT_FOUND:
                raise
            return False
        return True

    wait_for(invited, "auth to hear of the school")
    office = Visitor(stack.url()).accept(mailbox.code_for(address), PASSWORD)
    settings = office.get("/school")
    office.patch("/school", version=settings["version"], time_zone=TIME_ZONE, grace_period_minutes=0)
    office.put("/bell-schedules", periods=bell_periods())
    office.upload("/guardian-links/csv", GUARDIANS[school["name"]].encode(), "text/csv")
    guardians = set(re.findall(r"\S+?@[^,]+", GUARDIANS[school["name"]].replace(",", ", ")))
    for role, count in (("teacher", 1), ("guardian", len(guardians))):
        wait_for(
            lambda role=role, count=count: _invite(office, role) >= count, f"{count} {role} of {school['name']} invited"
        )
    if school["name"] == SCHOOLS[0]:
        student = next(each for each in office.every("/students") if each["email"] == STUDENT)
        wait_for(
            lambda: office.post("/invites", role="student", person_ids=[student["id"]])["issued"],
            "the student's invite",
        )


def _invite(office: Visitor, role: str) -> int:
    office.post("/invites", role=role)
    return sum(each["role"] == role for each in office.every("/invites"))


def bell_periods() -> list[dict[str, Any]]:
    """Every day of the week, so that the tests hold on Sundays."""
    return [
        {"weekday": weekday, "period": period, "starts_at": starts_at, "ends_at": ends_at}
        for weekday in range(1, 8)
        for period, starts_at, ends_at in (("1", "00:10:00", "00:50:00"), ("2", "01:00:00", "01:40:00"))
    ]


def come_in(stack: Stack, mailbox: Mailbox) -> None:
    """Everybody uses the codes in their mailbox; a second code joins the login that the first one made."""
    codes = {TEACHER: 2, SECOND_TEACHER: 1, STUDENT: 1, GUARDIAN: 2, QUIET_GUARDIAN: 1}
    for address, count in codes.items():
        mailbox.code_for(address, after=count - 1)
        for code in mailbox.codes_for(address):
            Visitor(stack.url()).accept(code, PASSWORD)
