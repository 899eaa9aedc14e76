"""What a school's settings may be."""

from typing import Final
from zoneinfo import available_timezones

from msgspec import UNSET, structs

from services.school.schools.schemas import School, SchoolChange
from shared.contracts.school import SchoolChanged
from shared.problems import FieldError, Invalid, PreconditionFailed

# `localtime` is whatever the machine is set to: a file beside the zones, but not one of them.
TIME_ZONES: Final = frozenset(available_timezones()) - {"localtime"}


class UnknownTimeZone(Invalid):
    slug = "unknown-time-zone"
    title = "There is no such time zone"


class StaleSchool(PreconditionFailed):
    slug = "stale-school"
    title = "The school was changed by somebody else"


def is_time_zone(name: str) -> bool:
    return name in TIME_ZONES


def changed(before: School, change: SchoolChange) -> School:
    """The school with the change made, its version counted up only if it differs.

    Raises StaleSchool, UnknownTimeZone.
    """
    if change.version != before.version:
        raise StaleSchool(f"The school is at version {before.version}.")
    wanted = {name: value for name, value in structs.asdict(change).items() if value is not UNSET}
    if not is_time_zone(str(wanted.get("time_zone", before.time_zone))):
        raise UnknownTimeZone(errors=[FieldError("/time_zone", "Use an IANA name, such as America/New_York.")])
    after = structs.replace(before, **wanted)
    return after if after == before else structs.replace(after, version=before.version + 1)


def renamed(before: School, name: str) -> School:
    return before if before.name == name else structs.replace(before, name=name, version=before.version + 1)


def as_event(school: School) -> SchoolChanged:
    return SchoolChanged(
        school_id=school.school_id,
        district_id=school.district_id,
        name=school.name,
        time_zone=school.time_zone,
        grace_period_minutes=school.grace_period_minutes,
    )
