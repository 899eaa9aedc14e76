"""A district against what is stored of it: compared, school by school, or written over it in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from services.academic.attendance.actions import add_default_codes
from services.academic.calendar import queries as calendar
from services.academic.calendar.actions import save_calendar, save_school
from services.academic.classes import queries as classes
from services.academic.classes.actions import import_classes
from services.academic.enrolments import queries as enrolments
from services.academic.enrolments.actions import import_enrolments
from services.academic.imports import queries, rules
from services.academic.imports.schemas import (
    ClashCount,
    Diff,
    KnownOrg,
    KnownSession,
    Report,
    SchoolRoster,
    Totals,
    Vanished,
)
from services.academic.people import queries as people
from services.academic.people.actions import import_students, import_teachers
from services.academic.roster.schemas import Roster
from services.academic.timetable import queries as timetable
from services.academic.timetable.actions import judge_days_off, plan_school
from shared import clock
from shared.contracts.roster import RosterSchoolSaved
from shared.database import Database, Reader, Tx, switch_school

Progress = Callable[[str, int, int], Awaitable[None]]
"""Told what is being done, how many steps are done, and how many there are."""


class Findings(msgspec.Struct, kw_only=True):
    """What is found out on the way through the schools of a district."""

    diffs: list[Diff] = []
    sessions: dict[str, KnownSession] = {}
    """Those that were there before."""
    vanished: list[Vanished] = []
    clashes: list[ClashCount] = []

    def note(self, diff: Diff, vanished: Sequence[Vanished]) -> None:
        self.diffs.append(diff)
        self.vanished += vanished

    def report(self, roster: Roster, parts: Mapping[str, SchoolRoster]) -> Report:
        sessions = rules.compare(rules.sessions_of(roster), self.sessions)
        return Report(
            oneroster_version=roster.version,
            rows=dict(roster.counts),
            totals=rules.totals_of(roster, parts.values()),
            diff=rules.add_up([*self.diffs, Diff(academic_sessions=sessions)]),
            vanished=self.vanished,
            notes=list(roster.notes),
            timetable_clashes=self.clashes,
        )


async def compare(database: Database, roster: Roster, progress: Progress) -> Report:
    """What a file would change; changes nothing."""
    parts = rules.schools_of(roster)
    known = await queries.known_orgs(database.reader(), district_sourced_id=roster.district.sourced_id)
    findings = Findings(diffs=[organisations_diff(roster, known)])
    names = school_names(roster, known)
    for number, (sourced_id, name) in enumerate(names.items()):
        await progress(f"comparing {name}", number, len(names))
        wanted, present, today = parts.get(sourced_id, SchoolRoster()), SchoolRoster(), clock.now().date()
        if sourced_id in known and (school_id := known[sourced_id].school_id):
            reader = database.reader(school_id=school_id)
            present = await present_of(reader, school_id)
            today = await calendar.today(reader, school_id=school_id)
            findings.sessions |= await known_sessions(reader, school_id)
        diff = rules.school_diff(wanted, present, day=today)
        findings.note(diff, rules.vanished_people(name, wanted, present))
    return findings.report(roster, parts)


async def write(
    tx: Tx, roster: Roster, saved: Sequence[RosterSchoolSaved], progress: Progress, *, is_confirmed: bool
) -> Report:
    """Make a district what the file says; `saved` is what the school service made of its part.

    Raises TooManyVanished unless that `is_confirmed`, DoesNotReconcile, ExclusionViolation.
    """
    parts = rules.schools_of(roster)
    district = roster.district.sourced_id
    await queries.lock_district(tx, district_sourced_id=district)
    known = await queries.known_orgs(tx, district_sourced_id=district)
    findings = Findings(diffs=[organisations_diff(roster, known)])
    for number, school in enumerate(saved):
        await progress(school.school.name, number + 1, len(saved) + 1)
        await _write_school(tx, school, parts[school.sourced_id], findings)
    for school_id, name in closed_schools(roster, known).values():
        await switch_school(tx, school_id)
        findings.note(*await _write_roster(tx, school_id, name, SchoolRoster()))
    rules.require_confirmed(findings.vanished, is_confirmed=is_confirmed)
    await queries.save_orgs(tx, district_sourced_id=district, orgs=_orgs(roster, saved))
    stored = await _stored(tx, roster, parts, saved)
    return msgspec.structs.replace(findings.report(roster, parts), stored=stored)


async def present_of(reader: Reader, school_id: UUID) -> SchoolRoster:
    """What a school has that came out of another system."""
    return SchoolRoster(
        courses={each.sourced_id: each for each in await classes.present_courses(reader, school_id=school_id)},
        classes={each.sourced_id: each for each in await classes.present_classes(reader, school_id=school_id)},
        students={each.sourced_id: each for each in await people.present_students(reader, school_id=school_id)},
        teachers={each.sourced_id: each for each in await people.present_teachers(reader, school_id=school_id)},
        enrolments={each.sourced_id: each for each in await enrolments.present_enrolments(reader, school_id=school_id)},
    )


async def known_sessions(reader: Reader, school_id: UUID) -> dict[str, KnownSession]:
    return {
        each.sourced_id: KnownSession(
            sourced_id=each.sourced_id,
            title=each.title,
            kind=each.kind,
            starts_on=each.starts_on,
            ends_on=each.ends_on,
        )
        for each in await calendar.sessions(reader, school_id=school_id)
        if each.sourced_id
    }


def school_names(roster: Roster, known: Mapping[str, KnownOrg]) -> dict[str, str]:
    """The schools of the file and those that are in it no more."""
    return {
        **{school.sourced_id: school.name for school in roster.schools},
        **{sourced_id: name for sourced_id, (_, name) in closed_schools(roster, known).items()},
    }


def closed_schools(roster: Roster, known: Mapping[str, KnownOrg]) -> dict[str, tuple[UUID, str]]:
    """Id and name of the schools that are in the file no more, by their sourced id."""
    there = {school.sourced_id for school in roster.schools}
    return {
        org.sourced_id: (org.school_id, org.name)
        for org in known.values()
        if org.school_id and org.sourced_id not in there
    }


def organisations_diff(roster: Roster, known: Mapping[str, KnownOrg]) -> Diff:
    wanted = {each.sourced_id: each.name for each in (roster.district, *roster.schools)}
    return Diff(organisations=rules.compare(wanted, {key: org.name for key, org in known.items()}))


async def _write_school(tx: Tx, saved: RosterSchoolSaved, wanted: SchoolRoster, findings: Findings) -> None:
    """One school of the file: what the school service will tell of it, without waiting, and then its people."""
    school_id, name = saved.school.school_id, saved.school.name
    await switch_school(tx, school_id)
    findings.sessions |= await known_sessions(tx, school_id)
    is_news = await save_school(tx, school_id, saved.school, version=saved.school_version)
    calendar_saved = await save_calendar(tx, school_id, saved.calendar, version=saved.calendar_version)
    await add_default_codes(tx, school_id)
    if is_news or calendar_saved.is_news:
        await plan_school(tx, school_id, now=clock.now())
    findings.note(*await _write_roster(tx, school_id, name, wanted))
    await judge_days_off(tx, school_id, calendar_saved, now=clock.now())
    clashes = await timetable.clash_count(tx, school_id=school_id)
    findings.clashes.append(ClashCount(school=name, clashes=clashes))


async def _write_roster(tx: Tx, school_id: UUID, name: str, wanted: SchoolRoster) -> tuple[Diff, list[Vanished]]:
    """Make one school's people and classes those of the file. The transaction acts as that school."""
    present = await present_of(tx, school_id)
    now, today = clock.now(), await calendar.today(tx, school_id=school_id)
    gone_students = await import_students(
        tx, school_id, list(wanted.students.values()), left=sorted(present.students.keys() - wanted.students.keys())
    )
    gone_teachers = await import_teachers(
        tx, school_id, list(wanted.teachers.values()), left=sorted(present.teachers.keys() - wanted.teachers.keys())
    )
    changed = await import_classes(
        tx,
        school_id,
        courses=list(wanted.courses.values()),
        classes=list(wanted.classes.values()),
        gone_classes=sorted(present.classes.keys() - wanted.classes.keys()),
    )
    await import_enrolments(
        tx,
        school_id,
        list(wanted.enrolments.values()),
        gone=rules.gone_enrolments(wanted, present, day=today),
        gone_people=[*gone_students, *gone_teachers],
        changed_classes=changed,
        day=today,
        now=now,
    )
    return rules.school_diff(wanted, present, day=today), rules.vanished_people(name, wanted, present)


async def _stored(
    tx: Tx, roster: Roster, parts: Mapping[str, SchoolRoster], schools: Sequence[RosterSchoolSaved]
) -> Totals:
    """Read everything back and count it. Raises DoesNotReconcile when it is not what the file holds."""
    stored: list[SchoolRoster] = []
    for school in schools:
        school_id = school.school.school_id
        await switch_school(tx, school_id)
        wanted, present = parts[school.sourced_id], await present_of(tx, school_id)
        found = SchoolRoster(
            courses={key: present.courses[key] for key in wanted.courses.keys() & present.courses.keys()},
            classes=present.classes,
            students=present.students,
            teachers=present.teachers,
            enrolments={key: present.enrolments[key] for key in wanted.enrolments.keys() & present.enrolments.keys()},
        )
        if found != wanted:
            raise rules.DoesNotReconcile(school.school.name)
        stored.append(found)
    return rules.totals_of(roster, stored)


def _orgs(roster: Roster, schools: Sequence[RosterSchoolSaved]) -> list[KnownOrg]:
    """The organisations of the file under its own names: a school may call itself otherwise since."""
    ids = {each.sourced_id: each.school.school_id for each in schools}
    return [
        KnownOrg(sourced_id=each.sourced_id, name=each.name, school_id=ids.get(each.sourced_id))
        for each in (roster.district, *roster.schools)
    ]
