"""A made-up district that has school today, whatever day it is: 5 schools, 55 members of staff, 945 guardians."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

SCHOOLS: Final = 5
TEACHERS: Final = 10
GROUPS: Final = TEACHERS
"""Each has one teacher and two classes, in the first and in the second period."""
PER_GROUP: Final = 20
STUDENTS: Final = GROUPS * PER_GROUP
GUARDIANS: Final = 189
"""Of each school; the last eleven students are siblings of the first eleven."""
PERIODS: Final = (("1", "08:00:00", "08:45:00"), ("2", "08:50:00", "09:35:00"))
MORNING: Final = 10
"""The hour that it is at the schools."""


def school_name(school: int) -> str:
    return f"School {school}"


def office_address(school: int) -> str:
    return f"office@s{school}.example"


def teacher_address(school: int, teacher: int) -> str:
    return f"teacher{teacher}@s{school}.example"


def guardian_address(school: int, guardian: int) -> str:
    return f"guardian{guardian}@s{school}.example"


def time_zone(now: datetime) -> str:
    """A zone in which both periods have begun, and the day is not yet over."""
    behind_h = (now.astimezone(UTC).hour - MORNING) % 24
    # The signs of these names are the other way round: Etc/GMT+5 is five hours behind.
    return f"Etc/GMT+{behind_h}" if behind_h <= 12 else f"Etc/GMT-{24 - behind_h}"


def today(now: datetime) -> date:
    return now.astimezone(ZoneInfo(time_zone(now))).date()


def bell_periods() -> list[dict[str, object]]:
    return [
        {"weekday": weekday, "period": period, "starts_at": starts_at, "ends_at": ends_at}
        for weekday in range(1, 8)
        for period, starts_at, ends_at in PERIODS
    ]


def guardians_csv(school: int) -> str:
    columns = "student_sourced_id,given_name,family_name,guardian_email,phone,relation,may_see,receives_alerts,priority"
    lines = [f"{columns},starts_on,ends_on"]
    for student in range(STUDENTS):
        guardian = student % GUARDIANS
        address = guardian_address(school, guardian)
        lines.append(f"s{school}-student{student},Grace{guardian},Gray,{address},,mother,true,true,1,,")
    return "\n".join(lines) + "\n"


def district_zip(now: datetime) -> bytes:
    """OneRoster 1.1, in bulk."""
    files = {
        "manifest.csv": list(_manifest()),
        "orgs.csv": ["sourcedId,name,type,identifier,parentSourcedId", "district,Bench,district,,", *_orgs()],
        "academicSessions.csv": list(_sessions(today(now))),
        "courses.csv": ["sourcedId,title,courseCode,orgSourcedId", "maths,Maths,M,district", "art,Art,A,district"],
        "classes.csv": list(_classes()),
        "users.csv": list(_users()),
        "enrollments.csv": list(_enrolments()),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in files.items():
            archive.writestr(name, "\n".join(lines) + "\n")
    return packed.getvalue()


def _manifest() -> Iterator[str]:
    yield "propertyName,value"
    yield "manifest.version,1.0"
    yield "oneroster.version,1.1"
    for name in ("academicSessions", "classes", "courses", "enrollments", "orgs", "users"):
        yield f"file.{name},bulk"


def _orgs() -> Iterator[str]:
    return (f"s{school},{school_name(school)},school,,district" for school in range(SCHOOLS))


def _sessions(day: date) -> Iterator[str]:
    first, last = day - timedelta(days=7), day + timedelta(days=7)
    yield "sourcedId,title,type,startDate,endDate,parentSourcedId,schoolYear"
    yield f"year,This year,schoolYear,{first},{last},,{last.year}"
    yield f"term,This term,term,{first},{last},year,{last.year}"


def _classes() -> Iterator[str]:
    yield "sourcedId,title,courseSourcedId,classType,location,schoolSourcedId,termSourcedIds,periods"
    for school in range(SCHOOLS):
        for group in range(GROUPS):
            for period, course in (("1", "maths"), ("2", "art")):
                class_ = f"s{school}-g{group}-{course}"
                yield f'{class_},{course.title()} {group},{course},scheduled,Room {group},s{school},term,"{period}"'


def _users() -> Iterator[str]:
    yield "sourcedId,enabledUser,orgSourcedIds,role,username,givenName,familyName,email"
    for school in range(SCHOOLS):
        for teacher in range(TEACHERS):
            address = teacher_address(school, teacher)
            yield f"s{school}-teacher{teacher},true,s{school},teacher,x,Tess{teacher},Teacher,{address}"
        for student in range(STUDENTS):
            yield f"s{school}-student{student},true,s{school},student,x,Ada{student},Ash,"


def _enrolments() -> Iterator[str]:
    yield "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate"
    for school in range(SCHOOLS):
        for course in ("maths", "art"):
            for person, role, group in _members():
                yield f"{course}-s{school}-{person},s{school}-g{group}-{course},s{school},s{school}-{person},{role},,,"


def _members() -> Iterator[tuple[str, str, int]]:
    yield from ((f"teacher{teacher}", "teacher", teacher) for teacher in range(TEACHERS))
    yield from ((f"student{student}", "student", student // PER_GROUP) for student in range(STUDENTS))
