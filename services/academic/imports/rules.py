"""What a roster file means for each school, and what may not be applied without a second look. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from services.academic.classes.schemas import ImportedClass, ImportedCourse
from services.academic.enrolments.schemas import ImportedEnrolment
from services.academic.imports.schemas import Counts, Diff, ImportJob, KnownSession, SchoolRoster, Totals, Vanished
from services.academic.people.schemas import ImportedPerson
from services.academic.roster.schemas import Course, Enrolment, Person, Roster, RosterClass
from shared.contracts.roster import RosterDistrict, RosterSchool, RosterSession, RosterUpsert
from shared.problems import Conflict, PayloadTooLarge

T = TypeVar("T")

FILES: Final = "imports/"
"""Where roster files are in the bucket."""
VANISHED_SHARE: Final = 0.05
"""Of more than this share of a school's people gone, somebody must say that it is meant (I2, S4)."""


class NotChecked(Conflict):
    slug = "import-not-checked"
    title = "Only an import that was checked can be applied"


class FileTooLarge(PayloadTooLarge):
    slug = "roster-too-large"
    title = "The roster file is too large"


class TooManyVanished(Conflict):
    slug = "too-many-vanished"
    title = "Many people of a school are not in the file"


class DoesNotReconcile(Exception):
    """What is stored is not what the file holds: nothing of it may stay."""


def object_key(job_id: UUID) -> str:
    return f"{FILES}{job_id}.zip"


def job_of(key: str) -> UUID | None:
    """The job that an object was stored for; None for what is not named as we name them."""
    with suppress(ValueError):
        job_id = UUID(key.removeprefix(FILES).removesuffix(".zip"))
        return job_id if key == object_key(job_id) else None
    return None


def why_not_applied(job: ImportJob) -> str:
    if job.state in ("checked", "failed") and job.report is not None:
        return "Its file is no longer kept: upload it again."
    return f"This one is {job.state}."


def schools_of(roster: Roster) -> dict[str, SchoolRoster]:
    """Each school's part of the file, by its sourced id; what is inactive there counts as not there."""
    parts = {school.sourced_id: SchoolRoster() for school in roster.schools}
    for each in roster.classes:
        if each.is_active:
            parts[each.school_sourced_id].classes[each.sourced_id] = _class_of(each)
    taught = {(each.course_sourced_id, school) for school, part in parts.items() for each in part.classes.values()}
    for course in roster.courses:
        for school in _schools_with(course, parts, taught):
            parts[school].courses[course.sourced_id] = ImportedCourse(
                sourced_id=course.sourced_id, title=course.title, code=course.code
            )
    for person in roster.students:
        _enter(person, parts, lambda part: part.students)
    for person in roster.teachers:
        _enter(person, parts, lambda part: part.teachers)
    for each in roster.enrolments:
        part = parts[each.school_sourced_id]
        people = part.students if each.role == "student" else part.teachers
        if each.class_sourced_id in part.classes and each.person_sourced_id in people:
            part.enrolments[each.sourced_id] = _enrolment_of(each)
    return parts


def _schools_with(course: Course, schools: Collection[str], taught: Collection[tuple[str | None, str]]) -> list[str]:
    """Those whose classes use the course; of one that no class uses, its own school, or all of the district."""
    users = [school for school in schools if (course.sourced_id, school) in taught]
    return users or sorted({course.org_sourced_id} & set(schools) or schools)


def _class_of(each: RosterClass) -> ImportedClass:
    return ImportedClass(
        sourced_id=each.sourced_id,
        title=each.title,
        kind=each.kind,
        course_sourced_id=each.course_sourced_id,
        periods=tuple(sorted(each.periods)),
        room=each.room,
        term_sourced_ids=tuple(sorted(each.term_sourced_ids)),
        grades=tuple(sorted(each.grades)),
    )


def _enrolment_of(each: Enrolment) -> ImportedEnrolment:
    return ImportedEnrolment(
        sourced_id=each.sourced_id,
        class_sourced_id=each.class_sourced_id,
        person_sourced_id=each.person_sourced_id,
        role=each.role,
        is_primary=each.is_primary,
        starts_on=each.starts_on,
        ends_on=each.ends_on,
    )


def _enter(
    person: Person,
    parts: Mapping[str, SchoolRoster],
    people_of: Callable[[SchoolRoster], dict[str, ImportedPerson]],
) -> None:
    if not person.is_active:
        return
    for school in person.school_sourced_ids:
        people_of(parts[school])[person.sourced_id] = ImportedPerson(
            sourced_id=person.sourced_id,
            given_name=person.given_name,
            family_name=person.family_name,
            email=person.email,
            grade=person.grade,
        )


def upsert_of(roster: Roster) -> RosterUpsert:
    """What the school service is to know of the file."""
    return RosterUpsert(
        district=RosterDistrict(sourced_id=roster.district.sourced_id, name=roster.district.name),
        schools=[RosterSchool(sourced_id=each.sourced_id, name=each.name) for each in roster.schools],
        academic_sessions=[
            RosterSession(
                sourced_id=each.sourced_id,
                title=each.title,
                kind=each.kind,
                starts_on=each.starts_on,
                ends_on=each.ends_on,
                parent_sourced_id=each.parent_sourced_id,
            )
            for each in roster.sessions
        ],
    )


def sessions_of(roster: Roster) -> dict[str, KnownSession]:
    return {
        each.sourced_id: KnownSession(
            sourced_id=each.sourced_id,
            title=each.title,
            kind=each.kind,
            starts_on=each.starts_on,
            ends_on=each.ends_on,
        )
        for each in roster.sessions
    }


def compare(wanted: Mapping[str, T], present: Mapping[str, T], *, gone: int | None = None) -> Counts:
    """Counts by sourced id; `gone` when not everything that is present and unwanted counts as gone."""
    known = wanted.keys() & present.keys()
    changed = sum(wanted[key] != present[key] for key in known)
    return Counts(
        new=len(wanted) - len(known),
        changed=changed,
        unchanged=len(known) - changed,
        gone=len(present.keys() - wanted.keys()) if gone is None else gone,
    )


def gone_enrolments(wanted: SchoolRoster, present: SchoolRoster, *, day: date) -> list[str]:
    """Enrolments that still run, or are to come, and that the file has no more."""
    return [
        sourced_id
        for sourced_id, each in present.enrolments.items()
        if sourced_id not in wanted.enrolments and (each.ends_on is None or each.ends_on >= day)
    ]


def school_diff(wanted: SchoolRoster, present: SchoolRoster, *, day: date) -> Diff:
    return Diff(
        courses=compare(wanted.courses, present.courses, gone=0),
        classes=compare(_with_known_grades(wanted.classes, present.classes), present.classes),
        students=compare(wanted.students, present.students),
        teachers=compare(wanted.teachers, present.teachers),
        enrolments=compare(wanted.enrolments, present.enrolments, gone=len(gone_enrolments(wanted, present, day=day))),
    )


def _with_known_grades(
    wanted: Mapping[str, ImportedClass], present: Mapping[str, ImportedClass]
) -> dict[str, ImportedClass]:
    """As they will be: a class of which the file names no grades keeps its own."""
    return {
        key: each if each.grades or key not in present else msgspec.structs.replace(each, grades=present[key].grades)
        for key, each in wanted.items()
    }


def add_up(diffs: Iterable[Diff]) -> Diff:
    total = Diff()
    for diff in diffs:
        fields = {name: getattr(total, name) + getattr(diff, name) for name in Diff.__struct_fields__}
        total = Diff(**fields)
    return total


def vanished_people(school: str, wanted: SchoolRoster, present: SchoolRoster) -> list[Vanished]:
    """One entry when more of a school's active people are gone from the file than the guard allows, else none."""
    people = len(present.students) + len(present.teachers)
    gone = len(present.students.keys() - wanted.students.keys()) + len(present.teachers.keys() - wanted.teachers.keys())
    return [Vanished(school=school, people=people, gone=gone)] if gone > people * VANISHED_SHARE else []


def require_confirmed(vanished: Sequence[Vanished], *, is_confirmed: bool) -> None:
    """Raises TooManyVanished unless it was said that so many may go."""
    if vanished and not is_confirmed:
        told = "; ".join(f"{each.school}: {each.gone} of {each.people}" for each in vanished)
        raise TooManyVanished(
            f"Not in the file any more are, at {told}. Send `confirm_vanished` if that is meant.",
            vanished=msgspec.to_builtins(vanished),
        )


def totals_of(roster: Roster, parts: Iterable[SchoolRoster]) -> Totals:
    """Active records of the file; a person or course of two schools counts once."""
    schools = list(parts)
    kinds = [each.kind for each in roster.sessions]
    return Totals(
        districts=1,
        schools=len(roster.schools),
        school_years=kinds.count("school_year"),
        terms=kinds.count("term"),
        grading_periods=kinds.count("grading_period"),
        courses=len({key for part in schools for key in part.courses}),
        classes=sum(len(part.classes) for part in schools),
        students=len({key for part in schools for key in part.students}),
        teachers=len({key for part in schools for key in part.teachers}),
        enrolments=sum(len(part.enrolments) for part in schools),
    )
