"""What is said to the author of an announcement that did not go out."""

from collections.abc import Mapping
from typing import Final

from services.notification.wording import LONGEST_TITLE, Text, shortened
from shared.contracts.communication import AnnouncementHeld

WHY: Final[Mapping[str, str]] = {
    "nobody_to_tell": "There was nobody left to tell.",
    "expired": "It had expired by the time it was due.",
    "day_over": "It was for those absent on a day that is over.",
}


def announcement_held(held: AnnouncementHeld) -> Text:
    why = WHY.get(held.reason, "It could not be sent.")
    title = shortened(f"Not sent: {held.title}", LONGEST_TITLE)
    return Text(title=title, body=f"{why} Change it and send it again, or withdraw it.")
