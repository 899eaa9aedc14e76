"""Who belongs to which class, from when to when."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from services.academic.roster.people import IMPORTED_ROLES, KNOWN_ROLES, People
from services.academic.roster.schemas import Enrolment, EnrolmentRole, Person, RosterClass, Session
from services.academic.roster.tables import Row, Source, Table

ENROLLMENTS = "enrollments.csv"
REQUIRED = ("classSourcedId", "schoolSourcedId", "userSourcedId", "role")


class Span(NamedTuple):
    """Both days included."""

    starts_on: date
    ends_on: date


def read_enrolments(
    source: Source, *, people: People, classes: Table[RosterClass], sessions: Table[Session]
) -> Table[Enrolment]:
    table = Table[Enrolment](ENROLLMENTS)
    build = enrolment_builder(source, people=people, classes=classes, sessions=sessions)
    table.fill(source, build, required=REQUIRED)
    require_no_overlap(source, table)
    return table


def enrolment_builder(
    source: Source, *, people: People, classes: Table[RosterClass], sessions: Table[Session]
) -> Callable[[Row, str], Enrolment | None]:
    def build(row: Row, sourced_id: str) -> Enrolment | None:
        role = imported_role(source, row)
        if role is None:
            return None
        is_primary = row.boolean("primary", if_empty=False) and role == "teacher"
        met = classes.find(row, "classSourcedId", row.text("classSourcedId"))
        person = person_of_school(row, people, role=role, met=met)
        span = span_of(row, met, sessions)
        if met is None or person is None or span is None or not row.is_good:
            return None
        if span.ends_on < span.starts_on:
            source.leave_out(ENROLLMENTS, "The enrolment ends on the day on which it begins.")
            return None
        return Enrolment(
            sourced_id=sourced_id,
            school_sourced_id=met.school_sourced_id,
            class_sourced_id=met.sourced_id,
            person_sourced_id=person.sourced_id,
            role=role,
            is_primary=is_primary,
            starts_on=span.starts_on,
            ends_on=span.ends_on,
        )

    return build


def imported_role(source: Source, row: Row) -> EnrolmentRole | None:
    word = row.word("role", KNOWN_ROLES)
    if row.is_good and word not in IMPORTED_ROLES:
        known = word if word in KNOWN_ROLES else "ext:…"
        source.leave_out(ENROLLMENTS, f"The role {known} is not imported.")
    return IMPORTED_ROLES.get(word)


def person_of_school(row: Row, people: People, *, role: EnrolmentRole, met: RosterClass | None) -> Person | None:
    """The user of the row, who must have the role at the school of the class."""
    person_id, school_id = row.text("userSourcedId"), row.text("schoolSourcedId")
    people.orgs.find(row, "schoolSourcedId", school_id)
    if met and school_id in people.orgs.lines and school_id != met.school_sourced_id:
        row.wrong("schoolSourcedId", "The class belongs to another school.")
    person = people.users.find(row, "userSourcedId", person_id)
    schools = people.schools[role].get(person_id)
    if person and schools is None and people.has_all_roles:
        row.wrong("userSourcedId", f"This names a user who is no {role}.")
    elif person and met and schools and met.school_sourced_id not in schools and people.has_all_roles:
        row.wrong("userSourcedId", f"This {role} does not belong to the school of the class.")
    return person


def span_of(row: Row, met: RosterClass | None, sessions: Table[Session]) -> Span | None:
    """What the row leaves open lasts as long as the terms of the class. `endDate` is the day after the last one."""
    begin, end = row.optional_day("beginDate"), row.optional_day("endDate")
    if met is None or not met.term_sourced_ids or not row.is_good:
        return None
    terms = [sessions.good[term_id] for term_id in met.term_sourced_ids]
    starts_on = begin or min(term.starts_on for term in terms)
    after = end or max(term.ends_on for term in terms) + timedelta(days=1)
    if after < starts_on:
        row.wrong("endDate" if end else "beginDate", "The enrolment would end before it begins.")
        return None
    return Span(starts_on, after - timedelta(days=1))


def require_no_overlap(source: Source, table: Table[Enrolment]) -> None:
    """Sorted rather than compared in pairs: a file may give one person a hundred thousand spells in one class."""
    spells: dict[tuple[str, str], list[Enrolment]] = {}
    for enrolment in table.good.values():
        spells.setdefault((enrolment.person_sourced_id, enrolment.class_sourced_id), []).append(enrolment)
    for group in spells.values():
        group.sort(key=lambda spell: spell.starts_on)
        require_apart(source, table, group)


def require_apart(source: Source, table: Table[Enrolment], spells: list[Enrolment]) -> None:
    last = spells[0]
    for spell in spells[1:]:
        if last.ends_on is None or spell.starts_on <= last.ends_on:
            first, second = sorted((table.lines[last.sourced_id], table.lines[spell.sourced_id]))
            reason = f"The same person is already in the same class on some of these days, by line {first}."
            source.errors.add(table.file, second, "beginDate", reason)
        if last.ends_on is not None and (spell.ends_on is None or spell.ends_on > last.ends_on):
            last = spell
