"""Load the demo, with a front end's means only: through the gateway, and with codes out of mails.

Told by the environment: GATEWAY_URL, BOOTSTRAP_EMAIL, BOOTSTRAP_PASSWORD, MAIL_DIRECTORY, RUN_DIRECTORY. Can be run
again after it was cut off: what is there already stays. Ends by writing `demo.json`, one login of each role.
"""

import os
import secrets
import sys
import time
from contextlib import suppress
from datetime import date, timedelta
from http.client import NOT_FOUND
from pathlib import Path
from typing import Any

import msgspec

from tools.front_end import Mailbox, NotInTime, Refused, Visitor, wait_for

DEMO = Path(__file__).parent.parent / "demo"
TIME_ZONE = "America/Chicago"
LOCALE = "en-US"
DISTRICT_ZIP = DEMO / "district-5-schools.zip"
SCHOOL, SECOND_SCHOOL = "Pagac Elementary School", "Lowe Elementary School"
TEACHER = "paul.bruen.7bbf3a@school.edu"
STUDENT = "abner.kovacek.de8b19@students.school.edu"
GUARDIAN = "gloria.gray@family.example"
"""Two of her children are at the first school, one of them in the teacher's classes; a third is at the second."""
ANNOUNCEMENT = {
    "title": "Welcome to Homeroom",
    "body": "From today on you hear here when your child is missed, and you can tell us here that your child is ill.",
    "audience": {"include": [{"kind": "role", "role": "guardian"}]},
}
LOOK_AHEAD_DAYS = 21


class Login(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    email: str
    password: str
    school: str | None = None


class Progress(msgspec.Struct, kw_only=True):
    """Passwords that were chosen, kept as they are chosen."""

    passwords: dict[str, str] = {}


class Seeder:
    def __init__(self, gateway_url: str, mailbox: Mailbox, directory: Path) -> None:
        self._gateway_url = gateway_url
        self._mailbox = mailbox
        self._kept = directory / "demo-progress.json"
        self._progress = (
            msgspec.json.decode(self._kept.read_bytes(), type=Progress) if self._kept.exists() else Progress()
        )

    def password_of(self, address: str) -> str:
        """The password that this login has or is to get."""
        if address not in self._progress.passwords:
            self._progress.passwords[address] = f"demo-{secrets.token_urlsafe(12)}"
            self._kept.touch(mode=0o600)
            self._kept.write_bytes(msgspec.json.encode(self._progress))
        return self._progress.passwords[address]

    def platform_admin(self, address: str, bootstrap_password: str) -> Visitor:
        """Signed in; the bootstrap password is changed first, as it must be."""
        visitor, password = Visitor(self._gateway_url), self.password_of(address)
        try:
            return visitor.sign_in(address, password)
        except Refused:
            visitor.sign_in(address, bootstrap_password)
        answer = visitor.post("/auth/password", current_password=bootstrap_password, new_password=password)
        return visitor.carry(answer)

    def come_in(self, address: str) -> Visitor:
        """Signed in; by the invite in the mailbox when this login has not been used yet."""
        visitor, password = Visitor(self._gateway_url), self.password_of(address)
        try:
            return visitor.sign_in(address, password)
        except Refused:
            return visitor.accept(self._mailbox.code_for(address), password)

    def district(self, admin: Visitor) -> dict[str, str]:
        """The district's schools: their ids by name."""
        if not any(job["state"] == "applied" for job in admin.get("/imports")["items"]):
            self._import(admin)
        return {each["name"]: each["school_id"] for each in admin.every("/schools")}

    def _import(self, admin: Visitor) -> None:
        job = admin.upload("/imports", DISTRICT_ZIP.read_bytes(), "application/zip")
        job = admin.wait_for_import(job["id"], {"checked", "rejected"})
        say(f"district read: {summary(job['report']['totals'])}")
        admin.post(f"/imports/{job['id']}/apply")
        job = admin.wait_for_import(job["id"], {"applied", "failed"})
        if job["state"] == "failed":
            sys.exit(f"The district could not be imported: {job['problem']}")
        say(f"district stored: {summary(job['report']['stored'])}")

    def school(self, admin: Visitor, name: str, school_id: str) -> None:
        """One school, from the invite of its office to the invites of everybody."""
        word = name.split(maxsplit=1)[0].lower()
        address = f"office@{word}.example"
        office = self.office(admin, school_id, address, name)
        settings = office.get("/school")
        wanted = {"time_zone": TIME_ZONE, "locale": LOCALE, "grace_period_minutes": 0}
        if any(settings[name] != value for name, value in wanted.items()):
            office.patch("/school", version=settings["version"], **wanted)
        for day, title in holidays():
            office.put(f"/calendar-days/{day}", kind="holiday", title=title)
        guardians = (DEMO / "guardians" / f"{word}.csv").read_bytes()
        links = office.upload("/guardian-links/csv", guardians, "text/csv")
        made = [self._invite(office, role) for role in ("teacher", "guardian")]
        say(f"{name}: {links['guardians_created']} guardians, {sum(made)} invites")

    def office(self, admin: Visitor, school_id: str, address: str, name: str) -> Visitor:
        try:
            return Visitor(self._gateway_url).sign_in(address, self.password_of(address))
        except Refused:
            return wait_for(
                lambda: self._invited_office(admin, school_id, address, name), f"the office of {name} to come in"
            )

    def _invited_office(self, admin: Visitor, school_id: str, address: str, name: str) -> Visitor | None:
        """None while `auth` has not heard of the school."""
        try:
            admin.post("/admin-invites", school_id=school_id, email=address, name=f"Office of {name}")
        except Refused as error:
            if error.response.status_code == NOT_FOUND:
                return None
            raise
        return self.come_in(address)

    def _invite(self, office: Visitor, role: str) -> int:
        """Invite everybody of a role; again until `auth` has heard of them all."""
        path = "/teachers" if role == "teacher" else "/guardians"
        wanted = {each["email"] for each in office.every(path, limit=500) if each["email"]}
        issued = 0

        def all_invited() -> bool:
            nonlocal issued
            issued += office.post("/invites", role=role)["issued"]
            return wanted <= {each["email"] for each in office.every("/invites", limit=500)}

        wait_for(all_invited, f"every {role} to be invited", pause_s=0.5)
        return issued

    def second_school(self, address: str) -> None:
        """The invite of a further school joins the login that is there."""
        visitor = self.come_in(address)
        for code in self._mailbox.codes_for(address):
            if len(visitor.signed_in["memberships"]) > 1:
                return
            with suppress(Refused):  # the code that is used already
                visitor.accept(code, self.password_of(address))

    def student(self, office: Visitor) -> None:
        """Students get no invite in bulk; the demo's one does."""
        found = next(each for each in office.every("/students", limit=500) if each["email"] == STUDENT)
        office.post("/invites", role="student", person_ids=[found["id"]])


def announce(office: Visitor) -> None:
    """To all guardians; what was written before the loader was cut off is sent now."""
    written = next(
        (each for each in office.every("/announcements/written") if each["title"] == ANNOUNCEMENT["title"]), None
    ) or office.post("/announcements", **ANNOUNCEMENT)
    if written["state"] == "draft":
        reached = wait_for(lambda: settled_audience(office), "the guardians to be known", pause_s=0.5)
        office.post(f"/announcements/{written['announcement_id']}/send", version=written["version"])
        say(f"announcement to {reached} guardians")


def settled_audience(office: Visitor) -> int:
    """How many it comes to; 0 while guardians are still heard of."""
    first, then = (_reached_after(office, seconds) for seconds in (0, 1))
    return then if first == then else 0


def _reached_after(office: Visitor, seconds: float) -> int:
    time.sleep(seconds)
    return office.post("/announcements/preview", audience=ANNOUNCEMENT["audience"])["recipients"]


def report_absence(guardian: Visitor) -> None:
    """Of one child, on the next school day; none when any was ever reported."""
    if any(guardian.every("/absence-reports")):
        return
    child = min(guardian.every("/students"), key=lambda each: each["id"])
    day = next_school_day(guardian, child["id"])
    guardian.post(
        "/absence-reports",
        student_id=child["id"],
        kind="absence",
        starts_on=day,
        ends_on=day,
        reason="At the dentist's",
    )
    say(f"absence of {child['given_name']} reported for {day}")


def next_school_day(guardian: Visitor, student_id: str) -> str:
    """The first day to come on which the child has lessons; in long holidays, tomorrow."""
    today = date.fromisoformat(guardian.get("/lessons", student_id=student_id)["day"])
    coming = [str(today + timedelta(days=number)) for number in range(1, LOOK_AHEAD_DAYS + 1)]
    return next((day for day in coming if guardian.get("/lessons", student_id=student_id, day=day)["items"]), coming[0])


def main() -> None:
    directory = Path(os.environ["RUN_DIRECTORY"])
    seeder = Seeder(os.environ["GATEWAY_URL"], Mailbox(Path(os.environ["MAIL_DIRECTORY"])), directory)
    admin_address = os.environ["BOOTSTRAP_EMAIL"]
    admin = seeder.platform_admin(admin_address, os.environ["BOOTSTRAP_PASSWORD"])
    say("platform admin has a password of their own")
    schools = seeder.district(admin)
    for name, school_id in schools.items():
        seeder.school(admin, name, school_id)
    office = "office@pagac.example"
    seeder.student(seeder.come_in(office))
    for address in (TEACHER, STUDENT, GUARDIAN):
        seeder.come_in(address)
    seeder.second_school(GUARDIAN)
    announce(seeder.come_in(office))
    report_absence(seeder.come_in(GUARDIAN).choose(school=SCHOOL))
    logins = [
        Login(role="platform admin", email=admin_address, password=seeder.password_of(admin_address)),
        *(
            Login(role=role, email=address, password=seeder.password_of(address), school=school)
            for role, address, school in (
                ("school admin", office, SCHOOL),
                ("teacher", TEACHER, SCHOOL),
                ("student", STUDENT, SCHOOL),
                ("guardian", GUARDIAN, f"{SCHOOL} and {SECOND_SCHOOL}"),
            )
        ),
    ]
    write(directory / "demo.json", {"logins": logins})


def holidays() -> list[tuple[date, str]]:
    """Days off in the district's school year, so that a calendar with nothing in it misleads nobody."""
    thanksgiving = date(2026, 11, 26)
    return [(thanksgiving, "Thanksgiving"), (thanksgiving + timedelta(days=1), "Day after Thanksgiving")]


def summary(totals: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in totals.items() if count)


def write(path: Path, content: Any) -> None:
    """Whole or not at all, for its owner only: it holds passwords."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    unfinished.rename(path)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Refused, NotInTime) as error:
        sys.exit(f"The demo could not be loaded: {error}")
