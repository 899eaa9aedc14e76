"""The one door through which people are told anything: in the app and by mail, in the transaction of what is told.

Whoever was told the same before is not told again, in any channel: mails and digests follow from inbox rows that are
new. Where and when somebody is told is as they want it, and as their school insists (ADR 0804).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from services.notification.deliveries import actions as deliveries
from services.notification.deliveries.rules import usable_address
from services.notification.deliveries.schemas import NewDelivery
from services.notification.digests import actions as digests
from services.notification.inbox import actions as inbox
from services.notification.inbox.live import Announcer
from services.notification.inbox.schemas import Category, NewNotification
from services.notification.notices import rules
from services.notification.notices.schemas import Addressee, Notice
from services.notification.preferences import actions as preferences
from services.notification.preferences import hours
from services.notification.preferences.rules import route
from services.notification.preferences.schemas import Route, Wishes
from services.notification.roster import queries as roster
from services.notification.roster.schemas import Contact, School
from services.notification.wording import Text
from shared import clock, telemetry
from shared.database import Tx
from shared.ids import new_id


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient is told, and how."""

    notice: Notice
    addressee: Addressee
    route: Route
    wishes: Wishes
    notification: NewNotification


class Herald:
    """Knows the way to people: the live inboxes, and the address of the front end for links in mails."""

    def __init__(self, announcer: Announcer, public_url: str) -> None:
        self._announcer = announcer
        self._public_url = public_url

    async def tell(self, tx: Tx, school_id: UUID, notices: Sequence[Notice]) -> list[Told]:
        """Tell each addressee once; who was told just now."""
        addressed = [(notice, each) for notice in notices for each in rules.merged(notice.addressees)]
        if not addressed:
            return []
        wishes = await preferences.wishes_of(tx, school_id, [each.recipient_id for _, each in addressed])
        made = [_told(notice, each, wishes[each.recipient_id]) for notice, each in addressed]
        new = await inbox.notify(tx, self._announcer, school_id, [each.notification for each in made])
        ids = {each.notification_id for each in new}
        told = [each for each in made if each.notification.notification_id in ids]
        await self._mail(tx, school_id, [each for each in told if each.route.email != "never"])
        return told

    async def withdraw(self, tx: Tx, school_id: UUID, subject_id: UUID, *categories: Category) -> None:
        """What was told of a subject is no longer to be seen; what was not sent of it stays unsent."""
        withdrawn = await inbox.withdraw(tx, self._announcer, school_id, subject_id, categories)
        await deliveries.look_again(tx, school_id, [each.notification_id for each in withdrawn])

    async def rewrite(self, tx: Tx, school_id: UUID, notice: Notice) -> None:
        """What was told of its subject, and what waits to be mailed of it, says this instead, up to the edition of the
        notice. Nobody is told so.
        """
        assert notice.subject_id is not None
        subject_id, category, text = notice.subject_id, notice.category, notice.text
        edition = notice.edition or 0
        await inbox.rewrite(
            tx,
            self._announcer,
            school_id,
            subject_id,
            category,
            edition=edition,
            text=text,
            expires_at=notice.expires_at,
        )
        body = self._mail_body(notice, await roster.school_settings(tx, school_id))
        mail = Text(title=text.title, body=body)
        await deliveries.rewrite(tx, school_id, subject_id, category, mail, edition=edition)

    async def _mail(self, tx: Tx, school_id: UUID, told: Sequence[Told]) -> None:
        """Mails for who wants them at once, or has no address, which the office must see; digests for the others."""
        if not told:
            return
        school = await roster.school_settings(tx, school_id)
        contacts = await roster.contacts(tx, school_id, [each.addressee.recipient_id for each in told])
        at_once: list[NewDelivery] = []
        later: list[Told] = []
        for each in told:
            contact = contacts.get(each.addressee.recipient_id)
            if each.route.email == "daily_digest" and contact and usable_address(contact.email):
                later.append(each)
            elif rules.is_mailed(each.addressee, contact):
                at_once.append(self._mail_of(each, school, contact))
        await deliveries.queue_mails(tx, school_id, at_once)
        await _put_off(tx, school_id, later, contacts)

    def _mail_of(self, told: Told, school: School, contact: Contact | None) -> NewDelivery:
        notice, notification = told.notice, told.notification
        quiet_until = hours.quiet_until(notification.created_at, told.wishes.quiet_hours, told.wishes.time_zone)
        return NewDelivery(
            delivery_id=new_id(),
            category=notice.category,
            notification_id=notification.notification_id,
            recipient_person_id=notification.recipient_person_id,
            recipient_name=contact.name if contact else "",
            student_id=_only(notification.student_ids),
            day=notice.day,
            address=contact.email if contact else None,
            is_awaited=contact is None,
            subject=notice.text.title,
            body=self._mail_body(notice, school),
            is_urgent=told.route.is_urgent,
            not_before=None if told.route.is_urgent else quiet_until,
            traceparent=notice.traceparent,
        )

    def _mail_body(self, notice: Notice, school: School) -> str:
        text = notice.mail_text or notice.text.body
        return f"{text}\n\n{self._public_url}{notice.deep_link}\n\n{school.name}"


async def _put_off(tx: Tx, school_id: UUID, told: Sequence[Told], contacts: Mapping[UUID, Contact]) -> None:
    """Put what can wait into digests, and queue the mails of those that this begins."""
    notifications: dict[UUID, list[UUID]] = defaultdict(list)
    for each in told:
        notifications[each.addressee.recipient_id].append(each.notification.notification_id)
    wishes = {each.addressee.recipient_id: each.wishes for each in told}
    begun = await digests.put(tx, school_id, notifications, wishes, clock.now())
    mails = [
        NewDelivery(
            delivery_id=each.delivery_id,
            category="digest",
            recipient_person_id=each.recipient_id,
            recipient_name=contacts[each.recipient_id].name,
            address=contacts[each.recipient_id].email,
            subject="",
            body="",
            not_before=each.due_at,
            traceparent=telemetry.traceparent(),
        )
        for each in begun
    ]
    await deliveries.queue_mails(tx, school_id, mails)


def _told(notice: Notice, addressee: Addressee, wishes: Wishes) -> Told:
    way = route(wishes, notice.category, addressee.student_ids, is_emergency=notice.is_emergency)
    notification = NewNotification(
        notification_id=new_id(),
        recipient_person_id=addressee.recipient_id,
        student_ids=addressee.student_ids,
        subject_id=notice.subject_id,
        edition=notice.edition,
        category=notice.category,
        idempotency_key=notice.idempotency_key,
        title=notice.text.title,
        body=notice.text.body,
        deep_link=notice.deep_link,
        created_at=clock.now(),
        in_app=way.in_app,
        expires_at=notice.expires_at,
    )
    return Told(notice=notice, addressee=addressee, route=way, wishes=wishes, notification=notification)


def _only(student_ids: Sequence[UUID]) -> UUID | None:
    return student_ids[0] if len(student_ids) == 1 else None
