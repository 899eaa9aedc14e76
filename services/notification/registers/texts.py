"""What is said of a register that nobody has taken, or not to the end."""

from zoneinfo import ZoneInfo

from services.notification.wording import Text, written
from shared.contracts.academic import RegisterMissing


def register_missing(missing: RegisterMissing, time_zone: str) -> Text:
    starts_at = missing.starts_at.astimezone(ZoneInfo(time_zone))
    lesson = f"The lesson of {starts_at:%H:%M} on {written(missing.day)}"
    return Text(
        title=f"{missing.class_title}: register missing",
        body=f"{lesson} has no register yet, or one that leaves somebody out.",
    )
