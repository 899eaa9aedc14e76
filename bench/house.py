"""Homeroom with the district of the bench in it, and everybody's login."""

import re
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import NOT_FOUND
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import district
from tools.front_end import CODE, Mailbox, Refused, Visitor, wait_for
from tools.stack import Stack

PASSWORD: Final = secrets.token_urlsafe(16)
TO: Final = re.compile(r"^To: .*?<?([^<>\s]+@[^<>\s]+?)>?\s*$", re.MULTILINE)
# A load generator stands where nginx stands: it says on whose behalf it asks. Guardians sit at home, staff behind the
# one address of their school.
ENV: Final = {"TRUSTED_PROXY_HOPS": "1", "LOG_LEVEL": "WARNING", "TRACES_FILE": ""}


class User(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    school: int
    address: str
    """Of mail, and the login."""
    ip: str


class Bench:
    """A stack with all of the district come in. Everything is done through the gateway, as people would."""

    def __init__(self, stack: Stack, say: Callable[[str], object]) -> None:
        self.stack, self._say = stack, say
        self.now = datetime.now(UTC)
        self._mailbox = Mailbox(stack.mail_directory)

    def fill(self, users: int) -> list[User]:
        """The people of the rush, so many at most, each with a password."""
        admin = self._platform_admin()
        self._import(admin)
        for school in admin.get("/schools")["items"]:
            self._open(admin, school)
        people = [*_staff(), *_guardians()][:users]
        self._come_in([user for user in people if user.role != "school_admin"])
        return people

    def visitor(self, ip: str = "10.9.9.9") -> Visitor:
        return Visitor(self.stack.url()).from_address(ip)

    def _platform_admin(self) -> Visitor:
        given = self.stack.secrets.bootstrap_password
        admin = self.visitor().sign_in(self.stack.secrets.bootstrap_email, given)
        return admin.carry(admin.post("/auth/password", current_password=given, new_password=PASSWORD))

    def _import(self, admin: Visitor) -> None:
        job = admin.upload("/imports", district.district_zip(self.now), "application/zip")
        job = admin.wait_for_import(job["id"], {"checked", "rejected"})
        admin.post(f"/imports/{job['id']}/apply")
        job = admin.wait_for_import(job["id"], {"applied", "failed"})
        assert job["state"] == "applied", job
        self._say("the district is imported")

    def _open(self, admin: Visitor, school: dict[str, Any]) -> None:
        number = int(school["name"].split()[-1])
        address = district.office_address(number)
        wait_for(lambda: _invited(admin, school["school_id"], address), "auth to hear of the school")
        office = self.visitor(f"10.8.0.{number}").accept(self._mailbox.code_for(address), PASSWORD)
        settings = office.get("/school")
        zone = district.time_zone(self.now)
        office.patch("/school", version=settings["version"], time_zone=zone, grace_period_minutes=0)
        office.put("/bell-schedules", periods=district.bell_periods())
        office.upload("/guardian-links/csv", district.guardians_csv(number).encode(), "text/csv")
        for role, count in (("teacher", district.TEACHERS), ("guardian", district.GUARDIANS)):
            wait_for(lambda role=role, count=count: _invite(office, role) >= count, f"{role} to be invited")
        self._say(f"{school['name']} is open")

    def _come_in(self, users: list[User]) -> None:
        codes = wait_for(lambda: self._codes({user.address for user in users}), "all invites", timeout_s=300)

        def come_in(user: User) -> None:
            self.visitor(user.ip).accept(codes[user.address], PASSWORD)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(come_in, users))
        self._say(f"{len(users)} people have come in")

    def _codes(self, wanted: set[str]) -> dict[str, str] | None:
        """The code in each mailbox; None while one is missing."""
        found: dict[str, str] = {}
        for path in self.stack.mail_directory.glob("[!.]*.eml"):
            text = path.read_text()
            to, code = TO.search(text), CODE.search(text)
            if to and code:
                found[to[1]] = code[1]
        return found if wanted <= set(found) else None


def new_stack(directory: Path, say: Callable[[str], object]) -> Stack:
    return Stack(directory, env=ENV, say=say)


def _invited(admin: Visitor, school_id: str, address: str) -> bool:
    try:
        admin.post("/admin-invites", school_id=school_id, email=address, name="The office")
    except Refused as error:
        if error.response.status_code != NOT_FOUND:
            raise
        return False
    return True


def _invite(office: Visitor, role: str) -> int:
    office.post("/invites", role=role)
    return sum(each["role"] == role for each in office.every("/invites", limit=500))


def _staff() -> Iterable[User]:
    for school in range(district.SCHOOLS):
        ip = f"10.1.0.{school}"
        yield User(role="school_admin", school=school, address=district.office_address(school), ip=ip)
        for teacher in range(district.TEACHERS):
            yield User(role="teacher", school=school, address=district.teacher_address(school, teacher), ip=ip)


def _guardians() -> Iterable[User]:
    for school in range(district.SCHOOLS):
        for guardian in range(district.GUARDIANS):
            address = district.guardian_address(school, guardian)
            yield User(role="guardian", school=school, address=address, ip=f"10.2.{school}.{guardian + 1}")
