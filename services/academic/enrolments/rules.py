"""What may be said of a person's spells in a class."""

from datetime import date

from shared.problems import Conflict, FieldError, Invalid


class SpellsOverlap(Conflict):
    slug = "enrolments-overlap"
    title = "The person is in this class on some of these days already"


class EnrolmentEndsBeforeStart(Invalid):
    slug = "enrolment-ends-before-start"
    title = "The enrolment would end before it starts"


def require_order(starts_on: date, ends_on: date | None) -> None:
    """Raises EnrolmentEndsBeforeStart."""
    if ends_on is not None and ends_on < starts_on:
        detail = f"It starts on {starts_on}."
        raise EnrolmentEndsBeforeStart(detail, errors=[FieldError("/ends_on", detail)])
