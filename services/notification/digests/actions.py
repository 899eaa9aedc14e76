"""What can wait is put into the digest of a day, once; the digest is written when it is sent (ADR 0804)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from services.notification.digests import queries, rules
from services.notification.digests.schemas import NewDigest, NewItem
from services.notification.preferences import hours
from services.notification.preferences import rules as preferences
from services.notification.preferences.schemas import Wishes
from services.notification.roster import queries as roster
from services.notification.wording import Text
from shared.database import Reader, Tx
from shared.ids import new_id


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A digest that did not exist before: its mail is to be queued."""

    recipient_id: UUID
    delivery_id: UUID
    due_at: datetime


async def put(
    tx: Tx, school_id: UUID, notifications: Mapping[UUID, Sequence[UUID]], wishes: Mapping[UUID, Wishes], now: datetime
) -> list[Begun]:
    """Put notifications, by recipient, into the next digest of each that takes more; the digests this begins."""
    begun: list[Begun] = []
    waiting: dict[UUID, date | None] = dict.fromkeys(notifications)
    while waiting:
        due = {each: _next(wishes[each], now, after) for each, after in waiting.items()}
        wanted = [NewDigest(recipient_id=each, day=due[each][0], delivery_id=new_id()) for each in sorted(waiting)]
        opened = await queries.open_digests(tx, school_id, wanted)
        others = [each for each in wanted if each.recipient_id not in opened]
        taken = opened | (await queries.still_open(tx, school_id, others) if others else set[UUID]())
        await queries.add_items(tx, school_id, _items(wanted, taken, notifications))
        begun += [
            Begun(recipient_id=each.recipient_id, delivery_id=each.delivery_id, due_at=due[each.recipient_id][1])
            for each in wanted
            if each.recipient_id in opened
        ]
        # Whose digest of that day went out already is told on the next.
        waiting = {each: due[each][0] for each in waiting if each not in taken}
    return begun


async def due(reader: Reader, school_id: UUID, recipient_id: UUID, wishes: Wishes) -> dict[UUID, datetime]:
    """When the digests that wait for one recipient are due by these wishes, by their mail."""
    return {
        each.delivery_id: hours.digest_at(each.day, wishes.digest_hour, wishes.quiet_hours, wishes.time_zone)
        for each in await queries.waiting(reader, school_id, recipient_id)
    }


async def is_awaited(tx: Tx, school_id: UUID, delivery_id: UUID, *, since: datetime) -> bool:
    """Whether a link may still be heard of, by which the reader sees something of it that was told after `since`."""
    return await queries.is_awaited(tx, school_id, delivery_id, since=since)


async def written(
    tx: Tx, school_id: UUID, delivery_id: UUID, wishes: Wishes, *, public_url: str, now: datetime
) -> Text | None:
    """The digest as it is now: without what was withdrawn, corrected, is out of sight or no longer wanted since."""
    found = await queries.items(tx, school_id, delivery_id, now=now)
    items = [
        each
        for each in found
        if preferences.route(wishes, each.category, each.student_ids, is_emergency=False).email != "never"
    ]
    if not items:
        return None
    school = await roster.school_settings(tx, school_id)
    names = await roster.student_names(tx, school_id, [child for each in items for child in each.in_sight])
    return rules.digest_text(items, names, school=school, time_zone=wishes.time_zone, public_url=public_url)


def _next(wishes: Wishes, now: datetime, after: date | None) -> tuple[date, datetime]:
    return hours.next_digest(now, wishes.digest_hour, wishes.quiet_hours, wishes.time_zone, after=after)


def _items(
    wanted: Sequence[NewDigest], taken: set[UUID], notifications: Mapping[UUID, Sequence[UUID]]
) -> list[NewItem]:
    return [
        NewItem(recipient_id=each.recipient_id, day=each.day, notification_id=notification_id)
        for each in wanted
        if each.recipient_id in taken
        for notification_id in notifications[each.recipient_id]
    ]
