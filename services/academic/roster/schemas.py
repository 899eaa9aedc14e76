"""A roster: what a district's own system says of its schools, people and classes, as read from a OneRoster file.

Everything is named by its `sourced_id`, the other system's key. All dates are days included in what they bound:
OneRoster's `endDate` is the first day after.
"""

from datetime import date
from typing import Literal

import msgspec

SessionKind = Literal["school_year", "term", "grading_period"]
ClassKind = Literal["scheduled", "homeroom"]
EnrolmentRole = Literal["student", "teacher"]
Version = Literal["1.1", "1.2"]


class RowError(msgspec.Struct, frozen=True):
    """One thing that keeps a file from being imported. `line` is where the row starts; the header is line 1."""

    file: str
    line: int
    column: str | None
    reason: str


class Note(msgspec.Struct, frozen=True):
    """Rows that were read and left out on purpose."""

    file: str
    rows: int
    reason: str


class Org(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    name: str
    kind: str
    """`district`, `school`, or another kind that OneRoster knows."""
    parent: str | None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    title: str
    kind: SessionKind
    starts_on: date
    ends_on: date
    parent_sourced_id: str | None


class Course(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    title: str
    code: str | None
    org_sourced_id: str
    """Often the district: its courses are taught at each of its schools."""


class RosterClass(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    school_sourced_id: str
    course_sourced_id: str | None
    title: str
    kind: ClassKind
    periods: tuple[str, ...]
    room: str | None
    term_sourced_ids: tuple[str, ...]
    grades: tuple[str, ...]
    is_active: bool


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A student or teacher; whoever is both, perhaps at different schools, stands in both lists."""

    sourced_id: str
    school_sourced_ids: tuple[str, ...]
    given_name: str
    family_name: str
    email: str | None
    grade: str | None
    is_active: bool


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A spell of one person in one class; without dates in the file it lasts as long as the terms of the class."""

    sourced_id: str
    school_sourced_id: str
    class_sourced_id: str
    person_sourced_id: str
    role: EnrolmentRole
    is_primary: bool
    starts_on: date
    ends_on: date | None


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """The whole truth about one district: who is not in it has left.

    Every reference leads somewhere in it, except to orgs that are neither district nor school.
    """

    version: Version
    mode: Literal["bulk"]
    district: Org
    schools: list[Org]
    sessions: list[Session]
    """Parents stand before their children."""
    courses: list[Course]
    classes: list[RosterClass]
    students: list[Person]
    teachers: list[Person]
    enrolments: list[Enrolment]
    counts: dict[str, int]
    """Rows read, by file name."""
    notes: list[Note]
