"""The whole house, with a district in it, made as people make it: through the gateway and out of the mailbox."""

import re
from collections.abc import Generator
from datetime import UTC, date, datetime, time
from http.client import NOT_FOUND
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest

from tests.e2e.district import (
    GUARDIAN,
    GUARDIANS,
    HANA,
    IRA,
    JOAN,
    MONA,
    QUIET_GUARDIAN,
    SCHOOLS,
    SECOND_TEACHER,
    STUDENT,
    TEACHER,
    WEST_CLASSES,
    WEST_TEACHER,
    district_zip,
)
from tools.front_end import Mailbox, Refused, Visitor, wait_for
from tools.stack import Stack

TIME_ZONE = "America/Chicago"
PASSWORD = "a good long password of one's own"
OFFICES = {name: f"office@{name.split()[0].lower()}.example" for name in SCHOOLS}
NORTH, SOUTH, WEST = SCHOOLS


def where_it_is_noon() -> str:
    """A zone without summer time in which the morning is over and midnight far, whenever the tests run.

    Its name says how far Greenwich is ahead, not how far it is ahead of Greenwich.
    """
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


def settings_of(school: str) -> dict[str, Any]:
    if school == WEST:
        return {"time_zone": where_it_is_noon(), "register_reminder_minutes": 0, "register_escalation_minutes": 0}
    return {"time_zone": TIME_ZONE}


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

    @property
    def west_today(self) -> date:
        zone = self.visitor(OFFICES[WEST]).get("/school")["time_zone"]
        return datetime.now(ZoneInfo(zone)).date()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Generator[House]:
    if worker_id != "master":  # two at once are too much for a small machine: see `Together` in shared.testing.plugin
        (tmp_path_factory.getbasetemp().parent / "house").touch(exist_ok=False)
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
    # Lessons that are planned before `academic` has heard of it are told of at the times of a new school.
    change_school(stack, office, grace_period_minutes=0, **settings_of(school["name"]))
    office.put("/bell-schedules", periods=bell_periods(school["name"]))
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


OLDEST_KNOWN = """
SELECT min(known.version)
FROM (
    SELECT school_id, version FROM academic.school
    UNION ALL
    SELECT school_id, version FROM communication.school
    UNION ALL
    SELECT school_id, version FROM notification.school
) AS known
WHERE known.school_id = %s
HAVING count(*) = 3
"""


def change_school(stack: Stack, office: Visitor, **settings: Any) -> None:
    """Change settings, and wait until every service that goes by them has heard of it."""
    before = office.get("/school")
    changed = office.patch("/school", version=before["version"], **settings)
    wait_for(
        lambda: oldest_known(stack, before["school_id"]) >= changed["version"], "the services to hear of the settings"
    )


def oldest_known(stack: Stack, school_id: str) -> int:
    with psycopg.connect(stack.admin_url) as connection:
        row = connection.execute(OLDEST_KNOWN, (school_id,)).fetchone()
    return row[0] if row else 0


def _invite(office: Visitor, role: str) -> int:
    office.post("/invites", role=role)
    return sum(each["role"] == role for each in office.every("/invites"))


def bell_periods(school: str) -> list[dict[str, Any]]:
    """Every day of the week, so that the tests hold on Sundays."""
    hours = range(7, 7 + len(WEST_CLASSES)) if school == WEST else range(2)
    past = 0 if school == WEST else 10
    return [
        {
            "weekday": weekday,
            "period": str(period),
            "starts_at": str(time(hour, past * (period == 1))),
            "ends_at": str(time(hour, 40 + past * (period == 1))),
        }
        for weekday in range(1, 8)
        for period, hour in enumerate(hours, start=1)
    ]


def come_in(stack: Stack, mailbox: Mailbox) -> None:
    """Everybody uses the codes in their mailbox; a second code joins the login that the first one made."""
    single = (SECOND_TEACHER, STUDENT, QUIET_GUARDIAN, WEST_TEACHER, HANA, IRA, JOAN, MONA)
    codes = {TEACHER: 2, GUARDIAN: 2} | dict.fromkeys(single, 1)
    for address, count in codes.items():
        mailbox.code_for(address, after=count - 1)
        for code in mailbox.codes_for(address):
            Visitor(stack.url()).accept(code, PASSWORD)
