"""What is said of a register that nobody has taken, or not to the end."""

from services.notification.roster.schemas import School
from services.notification.wording import Text, written, written_time
from shared.contracts.academic import RegisterMissing


def register_missing(missing: RegisterMissing, school: School) -> Text:
    starts_at = written_time(missing.starts_at, school.time_zone, school.locale)
    lesson = f"The lesson of {starts_at} on {written(missing.day, school.locale)}"
    return Text(
        title=f"{missing.class_title}: register missing",
        body=f"{lesson} has no register yet, or one that leaves somebody out.",
    )
