"""How a digest reads. Pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from services.notification.digests.schemas import Item
from services.notification.roster.schemas import School
from services.notification.wording import UNKNOWN_NAME, Text, listed, written_hour


def digest_text(
    items: Sequence[Item], names: Mapping[UUID, str], *, school: School, time_zone: str, public_url: str
) -> Text:
    """All items, in order of time below the children they are about; what is about none comes last."""
    groups: dict[str, list[str]] = {}
    for each in sorted(items, key=lambda each: (each.created_at, each.notification_id)):
        at = written_hour(each.created_at, time_zone, school.locale)
        told = f"{at}  {each.title}\n{each.body}\n{public_url}{each.deep_link}"
        groups.setdefault(_heading(each, names, school), []).append(told)
    ordered = sorted(groups.items(), key=lambda group: (group[0] == school.name, group[0]))
    parts = ["\n\n".join([f"== {heading} ==", *told]) for heading, told in ordered]
    count = f"{len(items)} notifications" if len(items) != 1 else "1 notification"
    return Text(
        title=f"{school.name}: {count}",
        body="\n\n\n".join([*parts, f"What you are told, and when: {public_url}/notification-preferences"]),
    )


def _heading(item: Item, names: Mapping[UUID, str], school: School) -> str:
    return listed(sorted(names.get(each, UNKNOWN_NAME) for each in item.in_sight), school.locale) or school.name
