"""An import as its platform admin sees it: uploaded, checked, applied."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from services.academic.classes.schemas import ImportedClass, ImportedCourse
from services.academic.enrolments.schemas import ImportedEnrolment
from services.academic.people.schemas import ImportedPerson
from services.academic.roster.schemas import Note, RowError

State = Literal["checking", "rejected", "checked", "applying", "applied", "failed"]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of one kind the file adds, changes, leaves as they are, and no longer has."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            gone=self.gone + other.gone,
        )


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of each kind there are."""

    districts: int = 0
    schools: int = 0
    school_years: int = 0
    terms: int = 0
    grading_periods: int = 0
    courses: int = 0
    classes: int = 0
    students: int = 0
    teachers: int = 0
    enrolments: int = 0


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    organisations: Counts = Counts()
    academic_sessions: Counts = Counts()
    courses: Counts = Counts()
    classes: Counts = Counts()
    students: Counts = Counts()
    teachers: Counts = Counts()
    enrolments: Counts = Counts()


class Vanished(msgspec.Struct, frozen=True, kw_only=True):
    """A school of whose active people more than the guard allows are not in the file."""

    school: str
    people: int
    gone: int


class ClashCount(msgspec.Struct, frozen=True, kw_only=True):
    school: str
    clashes: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds and what it changes."""

    oneroster_version: str
    rows: dict[str, int]
    """Rows read of each file."""
    totals: Totals
    """Active records in the file."""
    diff: Diff
    vanished: list[Vanished]
    """Schools that need a confirmation before this is applied."""
    notes: list[Note]
    """What the file holds and we do not take."""
    stored: Totals | None = None
    """After applying: active records of this district, counted anew."""
    timetable_clashes: list[ClashCount] = []
    """After applying: lessons that cannot be, by school; `GET /api/v1/timetable-clashes` lists them."""


class ImportJob(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    state: State
    step: str
    steps_done: int
    steps_total: int
    sha256: str
    size_bytes: int
    created_at: datetime
    updated_at: datetime
    report: Report | None
    row_errors: list[RowError]
    """The first of them; `row_error_count` counts all that were found."""
    row_error_count: int
    problem: str | None
    is_confirmed: bool


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    confirm_vanished: bool = False
    """Apply although the report names schools of which many people vanished."""


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that this worker holds until its lease ends."""

    id: UUID
    state: State
    is_confirmed: bool
    attempt: int


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the roster file of a job is still kept."""

    id: UUID
    is_kept: bool


class SchoolRoster(msgspec.Struct, frozen=True, kw_only=True):
    """One school's part of a file, or of what we hold, by sourced id."""

    courses: dict[str, ImportedCourse] = {}
    classes: dict[str, ImportedClass] = {}
    students: dict[str, ImportedPerson] = {}
    teachers: dict[str, ImportedPerson] = {}
    enrolments: dict[str, ImportedEnrolment] = {}


class KnownOrg(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    name: str
    school_id: UUID | None


class KnownSession(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    title: str
    kind: str
    starts_on: date
    ends_on: date
