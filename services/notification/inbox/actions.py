"""Writing into inboxes, and reading what stands in them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.notification.inbox import queries
from services.notification.inbox.live import READ, Announcer
from services.notification.inbox.schemas import Category, NewNotification, UnreadCount, Withdrawn
from services.notification.wording import Text
from shared import clock
from shared.database import Database, Tx
from shared.problems import NotFound


async def notify(
    tx: Tx, announcer: Announcer, school_id: UUID, notifications: Sequence[NewNotification]
) -> list[NewNotification]:
    """Put them into their inboxes, in the transaction of the change they tell of; those that were not there yet."""
    added = await queries.add_notifications(tx, school_id, notifications)
    new = [each for each in notifications if each.notification_id in added]
    hints = [(each.recipient_person_id, str(each.notification_id)) for each in new if each.in_app]
    announcer.announce(tx, school_id, hints)
    return new


async def withdraw(
    tx: Tx, announcer: Announcer, school_id: UUID, subject_id: UUID, categories: Sequence[Category]
) -> list[Withdrawn]:
    """Take what was told of a subject out of sight; whoever looks at their inbox sees it go."""
    withdrawn = await queries.withdraw(tx, school_id, subject_id, categories, now=clock.now())
    announcer.announce(tx, school_id, [(each.recipient_person_id, READ) for each in withdrawn])
    return withdrawn


async def rewrite(
    tx: Tx,
    announcer: Announcer,
    school_id: UUID,
    subject_id: UUID,
    category: Category,
    *,
    edition: int,
    text: Text,
    expires_at: datetime | None,
) -> None:
    """Change what was told of a subject, up to this edition of it. It is no news: open inboxes only count anew, as it
    may have expired.
    """
    changed = await queries.rewrite(
        tx,
        school_id,
        subject_id,
        category,
        edition=edition,
        title=text.title,
        body=text.body,
        expires_at=expires_at,
    )
    announcer.announce(tx, school_id, {(each.recipient_person_id, READ) for each in changed})


async def read_one(
    database: Database, announcer: Announcer, school_id: UUID, *, recipient_id: UUID, notification_id: UUID
) -> UnreadCount:
    """Raises NotFound for a notification that is not in this inbox."""
    now = clock.now()
    async with database.transaction(school_id=school_id) as tx:
        if not await queries.one_notification(
            tx, school_id, recipient_id=recipient_id, now=now, notification_id=notification_id
        ):
            raise NotFound
        return await _mark_read(tx, announcer, school_id, recipient_id=recipient_id, notification_id=notification_id)


async def read_all(database: Database, announcer: Announcer, school_id: UUID, *, recipient_id: UUID) -> UnreadCount:
    async with database.transaction(school_id=school_id) as tx:
        return await _mark_read(tx, announcer, school_id, recipient_id=recipient_id, notification_id=None)


async def _mark_read(
    tx: Tx, announcer: Announcer, school_id: UUID, *, recipient_id: UUID, notification_id: UUID | None
) -> UnreadCount:
    now = clock.now()
    if await queries.mark_read(tx, school_id, recipient_id=recipient_id, now=now, notification_id=notification_id):
        announcer.announce(tx, school_id, [(recipient_id, READ)])
    return UnreadCount(unread_count=await queries.unread_count(tx, school_id, recipient_id=recipient_id, now=now))
