"""What a school's settings may be."""

from msgspec import UNSET, structs

from services.school.schools.schemas import School, SchoolChange
from shared import clock
from shared.contracts.school import SchoolChanged
from shared.problems import FieldError, Invalid, PreconditionFailed


class UnknownTimeZone(Invalid):
    slug = "unknown-time-zone"
    title = "There is no such time zone"


class OfficeBeforeTeacher(Invalid):
    slug = "office-before-teacher"
    title = "The office would hear of a missing register before its teacher"


class StaleSchool(PreconditionFailed):
    slug = "stale-school"
    title = "The school was changed by somebody else"


def changed(before: School, change: SchoolChange) -> School:
    """The school with the change made, its version counted up only if it differs.

    Raises StaleSchool, UnknownTimeZone, OfficeBeforeTeacher.
    """
    if change.version != before.version:
        raise StaleSchool(f"The school is at version {before.version}.")
    wanted = {name: value for name, value in structs.asdict(change).items() if value is not UNSET}
    if not clock.is_time_zone(str(wanted.get("time_zone", before.time_zone))):
        raise UnknownTimeZone(errors=[FieldError("/time_zone", "Use an IANA name, such as America/New_York.")])
    after = structs.replace(before, **wanted)
    require_steps(after.register_reminder_minutes, after.register_escalation_minutes)
    return after if after == before else structs.replace(after, version=before.version + 1)


def require_steps(reminder_minutes: int, escalation_minutes: int) -> None:
    """Raises OfficeBeforeTeacher; a step that is never taken comes before or after nothing."""
    if reminder_minutes and escalation_minutes and reminder_minutes >= escalation_minutes:
        detail = f"More than the {reminder_minutes} minutes after which its teacher is reminded, or 0 for never."
        raise OfficeBeforeTeacher(detail, errors=[FieldError("/register_escalation_minutes", detail)])


def renamed(before: School, name: str) -> School:
    return before if before.name == name else structs.replace(before, name=name, version=before.version + 1)


def as_event(school: School) -> SchoolChanged:
    return SchoolChanged(
        school_id=school.school_id,
        district_id=school.district_id,
        name=school.name,
        time_zone=school.time_zone,
        grace_period_minutes=school.grace_period_minutes,
        register_reminder_minutes=school.register_reminder_minutes,
        register_escalation_minutes=school.register_escalation_minutes,
    )
