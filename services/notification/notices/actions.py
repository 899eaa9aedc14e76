"""The one door through which people are told anything: in the app and by mail, in the transaction of what is told.

Whoever was told the same before is not told again, in any channel: mails follow from inbox rows that are new.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.notification.deliveries import actions as deliveries
from services.notification.deliveries.schemas import NewDelivery
from services.notification.inbox import actions as inbox
from services.notification.inbox.live import Announcer
from services.notification.inbox.schemas import Category, NewNotification
from services.notification.notices import rules
from services.notification.notices.schemas import Addressee, Notice
from services.notification.roster import queries as roster
from services.notification.roster.schemas import Contact, School
from shared import clock
from shared.database import Tx
from shared.ids import new_id


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient was told just now, and not before."""

    notice: Notice
    addressee: Addressee
    notification: NewNotification


class Herald:
    """Knows the way to people: the live inboxes, and the address of the front end for links in mails."""

    def __init__(self, announcer: Announcer, public_url: str) -> None:
        self._announcer = announcer
        self._public_url = public_url

    async def tell(self, tx: Tx, school_id: UUID, notices: Sequence[Notice]) -> list[Told]:
        """Tell each addressee once; who was told just now."""
        made = [
            Told(notice=notice, addressee=addressee, notification=_notification(notice, addressee))
            for notice in notices
            for addressee in rules.merged(notice.addressees)
        ]
        new = await inbox.notify(tx, self._announcer, school_id, [each.notification for each in made])
        ids = {each.notification_id for each in new}
        told = [each for each in made if each.notification.notification_id in ids]
        await self._mail(tx, school_id, told)
        return told

    async def withdraw(self, tx: Tx, school_id: UUID, subject_id: UUID, *categories: Category) -> None:
        """What was told of a subject is no longer to be seen; what was not sent of it stays unsent."""
        withdrawn = await inbox.withdraw(tx, self._announcer, school_id, subject_id, categories)
        await deliveries.look_again(tx, school_id, [each.notification_id for each in withdrawn])

    async def _mail(self, tx: Tx, school_id: UUID, told: Sequence[Told]) -> None:
        if not told:
            return
        school = await roster.school_settings(tx, school_id)
        contacts = await roster.contacts(tx, school_id, [each.addressee.recipient_id for each in told])
        await deliveries.queue_mails(
            tx,
            school_id,
            [
                self._mail_of(each, school, contact)
                for each in told
                for contact in [contacts.get(each.addressee.recipient_id)]
                if rules.is_mailed(each.addressee, contact)
            ],
        )

    def _mail_of(self, told: Told, school: School, contact: Contact | None) -> NewDelivery:
        notice, notification = told.notice, told.notification
        text = notice.mail_text or notice.text.body
        return NewDelivery(
            delivery_id=new_id(),
            category=notice.category,
            notification_id=notification.notification_id,
            recipient_person_id=notification.recipient_person_id,
            recipient_name=contact.name if contact else "",
            student_id=_only(notification.student_ids),
            day=notice.day,
            address=contact.email if contact else None,
            subject=notice.text.title,
            body=f"{text}\n\n{self._public_url}{notice.deep_link}\n\n{school.name}",
            traceparent=notice.traceparent,
        )


def _notification(notice: Notice, addressee: Addressee) -> NewNotification:
    return NewNotification(
        notification_id=new_id(),
        recipient_person_id=addressee.recipient_id,
        student_ids=addressee.student_ids,
        subject_id=notice.subject_id,
        category=notice.category,
        idempotency_key=notice.idempotency_key,
        title=notice.text.title,
        body=notice.text.body,
        deep_link=notice.deep_link,
        created_at=clock.now(),
    )


def _only(student_ids: Sequence[UUID]) -> UUID | None:
    return student_ids[0] if len(student_ids) == 1 else None
