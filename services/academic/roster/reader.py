"""From a OneRoster zip to a `Roster` in which every reference leads somewhere, or to a list of what to mend."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import BinaryIO, TypeVar

from services.academic.roster.archive import Archive
from services.academic.roster.enrolments import read_enrolments
from services.academic.roster.manifest import MANIFEST, UNUSED, needed_files, read_manifest
from services.academic.roster.people import read_people
from services.academic.roster.schemas import ClassKind, Course, Org, Roster, RosterClass, Session, SessionKind, Version
from services.academic.roster.tables import NO_DAY, Row, Source, Table

ORG_KINDS = frozenset(("department", "school", "district", "local", "state", "national"))
SESSION_KINDS: dict[str, SessionKind] = {
    "schoolYear": "school_year",
    "semester": "term",
    "term": "term",
    "gradingPeriod": "grading_period",
}
CLASS_KINDS = frozenset(("scheduled", "homeroom"))
MAX_SESSION = timedelta(days=3 * 366)
"""A lesson is planned for each day of a term: a slip in a year must not plan for centuries."""
MAX_LEVELS = 10

T = TypeVar("T")


def read_roster(file: BinaryIO) -> Roster:
    """Reads a seekable file. Raises RosterRejected with as many row errors as can be told at once."""
    source = Source(Archive(file))
    version = read_manifest(source)
    orgs = read_orgs(source)
    sessions = read_sessions(source)
    courses = read_courses(source, orgs)
    classes = read_classes(source, orgs=orgs, courses=courses, sessions=sessions)
    people = read_people(source, version, orgs)
    enrolments = read_enrolments(source, people=people, classes=classes, sessions=sessions)
    pass_over_the_rest(source, version)
    source.errors.raise_if_any()
    return Roster(
        version=version,
        mode="bulk",
        district=next(org for org in orgs.good.values() if org.kind == "district"),
        schools=[org for org in orgs.good.values() if org.kind == "school"],
        sessions=parents_first(sessions, parent_of_session),
        courses=list(courses.good.values()),
        classes=list(classes.good.values()),
        students=people.holding("student"),
        teachers=people.holding("teacher"),
        enrolments=list(enrolments.good.values()),
        counts=source.counts,
        notes=source.notes(),
    )


def read_orgs(source: Source) -> Table[Org]:
    table = Table[Org]("orgs.csv")

    def build(row: Row, sourced_id: str) -> Org:
        return Org(
            sourced_id=sourced_id,
            name=row.text("name"),
            kind=row.word("type", ORG_KINDS),
            parent=row.optional("parentSourcedId"),
        )

    table.fill(source, build, required=("name", "type"))
    require_parents(source, table, parent_of_org)
    require_one_district(source, table)
    return table


def require_one_district(source: Source, table: Table[Org]) -> None:
    """Also notes the orgs that are neither district nor school."""
    kinds = [org.kind for org in table.good.values()]
    districts = [org for org in table.good.values() if org.kind == "district"]
    for extra in districts[1:]:
        source.errors.add(table.file, table.lines[extra.sourced_id], "type", "There may be only one district.")
    is_certain = table.is_whole and len(table.good) + len(table.removed) == len(table.lines)
    for kind in ("district", "school"):
        if is_certain and kind not in kinds:
            source.errors.add(table.file, 1, "type", f"The file lists no {kind}.")
    if others := len(kinds) - kinds.count("district") - kinds.count("school"):
        source.leave_out(table.file, "The org is neither a district nor a school.", rows=others)


def parent_of_org(org: Org) -> str | None:
    return org.parent


def read_sessions(source: Source) -> Table[Session]:
    table = Table[Session]("academicSessions.csv")

    def build(row: Row, sourced_id: str) -> Session:
        starts_on = row.day("startDate")
        return Session(
            sourced_id=sourced_id,
            title=row.text("title"),
            kind=row.choice("type", SESSION_KINDS, fallback="term"),
            starts_on=starts_on,
            ends_on=last_day(row, starts_on),
            parent_sourced_id=row.optional("parentSourcedId"),
        )

    table.fill(source, build, required=("title", "type", "startDate", "endDate"))
    require_parents(source, table, parent_of_session)
    require_nesting(source, table)
    return table


def last_day(row: Row, starts_on: date) -> date:
    """`endDate` is the first day that no longer belongs to the session."""
    end = row.day("endDate")
    if NO_DAY in {starts_on, end}:
        return end
    if end <= starts_on:
        row.wrong("endDate", "This must be after startDate; it is the day after the last one.")
    if end - starts_on > MAX_SESSION:
        row.wrong("endDate", "The session lasts longer than three years.")
    return end - timedelta(days=1)


def parent_of_session(session: Session) -> str | None:
    return session.parent_sourced_id


def require_nesting(source: Source, table: Table[Session]) -> None:
    for session in table.good.values():
        parent = table.good.get(session.parent_sourced_id or "")
        line = table.lines[session.sourced_id]
        if parent and session.starts_on < parent.starts_on:
            source.errors.add(table.file, line, "startDate", "The session starts before its parent.")
        if parent and session.ends_on > parent.ends_on:
            source.errors.add(table.file, line, "endDate", "The session ends after its parent.")


def require_parents(source: Source, table: Table[T], parent_of: Callable[[T], str | None]) -> None:
    for sourced_id, child in table.good.items():
        parent = parent_of(child)
        reason = table.why_missing(parent) if parent else None
        if level(table, parent_of, child) > MAX_LEVELS:
            reason = f"There are more than {MAX_LEVELS} levels above this, or it stands above itself."
        if reason:
            source.errors.add(table.file, table.lines[sourced_id], "parentSourcedId", reason)


def level(table: Table[T], parent_of: Callable[[T], str | None], item: T) -> int:
    """How many stand above it; counting stops soon after the limit."""
    above = 0
    parent = table.good.get(parent_of(item) or "")
    while parent is not None and above <= MAX_LEVELS:
        above += 1
        parent = table.good.get(parent_of(parent) or "")
    return above


def parents_first(table: Table[T], parent_of: Callable[[T], str | None]) -> list[T]:
    return sorted(table.good.values(), key=lambda item: level(table, parent_of, item))


def read_courses(source: Source, orgs: Table[Org]) -> Table[Course]:
    table = Table[Course]("courses.csv")

    def build(row: Row, sourced_id: str) -> Course:
        org_id = row.text("orgSourcedId")
        org = orgs.find(row, "orgSourcedId", org_id)
        return Course(
            sourced_id=sourced_id,
            title=row.text("title"),
            code=row.optional("courseCode"),
            org_sourced_id=org.sourced_id if org else org_id,
        )

    table.fill(source, build, required=("title", "orgSourcedId"))
    return table


def read_classes(
    source: Source, *, orgs: Table[Org], courses: Table[Course], sessions: Table[Session]
) -> Table[RosterClass]:
    table = Table[RosterClass]("classes.csv")

    def build(row: Row, sourced_id: str) -> RosterClass:
        course = courses.find(row, "courseSourcedId", row.optional("courseSourcedId"))
        return RosterClass(
            sourced_id=sourced_id,
            school_sourced_id=school_of(row, orgs),
            course_sourced_id=course.sourced_id if course else None,
            title=row.text("title"),
            kind=class_kind(row),
            periods=row.texts("periods"),
            room=row.optional("location"),
            term_sourced_ids=terms_of(row, sessions),
            grades=row.texts("grades"),
            is_active=not row.is_removed,
        )

    required = ("title", "classType", "schoolSourcedId", "termSourcedIds")
    table.fill(source, build, required=required, keeps_removed=True)
    return table


def school_of(row: Row, orgs: Table[Org]) -> str:
    org_id = row.text("schoolSourcedId")
    org = orgs.find(row, "schoolSourcedId", org_id)
    if org and org.kind != "school":
        row.wrong("schoolSourcedId", "This names an org that is no school.")
    return org.sourced_id if org else org_id


def class_kind(row: Row) -> ClassKind:
    """Kinds of the exporter's own (`ext:…`) are scheduled."""
    return "homeroom" if row.word("classType", CLASS_KINDS) == "homeroom" else "scheduled"


def terms_of(row: Row, sessions: Table[Session]) -> tuple[str, ...]:
    term_ids = row.texts("termSourcedIds")
    if not term_ids:
        row.wrong("termSourcedIds", "This must not be empty.")
    found = [sessions.find(row, "termSourcedIds", term_id) for term_id in term_ids]
    return tuple(term.sourced_id for term in found if term)


def pass_over_the_rest(source: Source, version: Version) -> None:
    """Reads the files that are not imported as well, for their form and their count, and keeps nothing of them."""
    used = {MANIFEST, *(f"{name}.csv" for name in needed_files(version))}
    for file in source.names():
        if file.removesuffix(".csv") in UNUSED:
            rows = sum(1 for _ in source.rows(Table[None](file)))
            source.leave_out(file, "The file is not imported.", rows=rows)
        elif file not in used:
            source.leave_out(file, "The file is not part of OneRoster and was not read.", rows=0)
