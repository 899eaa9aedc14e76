"""Guardians are told: in the app and by mail, in the transaction that moves the alert."""

from collections.abc import Sequence
from uuid import UUID

from services.notification.alerts import texts
from services.notification.alerts.schemas import AlertRow
from services.notification.alerts.texts import Text
from services.notification.deliveries import actions as deliveries
from services.notification.deliveries.schemas import NewDelivery
from services.notification.inbox import actions as inbox
from services.notification.inbox import queries as inbox_queries
from services.notification.inbox.live import Announcer
from services.notification.inbox.schemas import Category, NewNotification
from services.notification.roster import queries as roster
from services.notification.roster.schemas import Guardian, School
from shared import clock
from shared.database import Tx
from shared.ids import new_id

Told = tuple[NewNotification, NewDelivery]


class Teller:
    """Knows the way to guardians: the live inboxes, and the address of the front end for links in mails."""

    def __init__(self, announcer: Announcer, public_url: str) -> None:
        self._announcer = announcer
        self._public_url = public_url

    async def tell_alerts(
        self, tx: Tx, school_id: UUID, school: School, alerts: Sequence[tuple[AlertRow, Sequence[Guardian]]]
    ) -> None:
        """Tell the guardians beside each alert."""
        names = await roster.student_names(tx, school_id, [row.student_id for row, _ in alerts])
        told: list[Told] = []
        for row, guardians in alerts:
            text = texts.absence_alert(names.get(row.student_id, texts.UNKNOWN_NAME), row.day, row.lessons)
            told += [self._message(row, "absence_alert", text, school, guardian) for guardian in guardians]
        await self._tell(tx, school_id, told)

    async def record_untold(self, tx: Tx, school_id: UUID, rows: Sequence[AlertRow]) -> None:
        """Absences that there is nobody to tell of: the office must see them, so they stand in the delivery log."""
        names = await roster.student_names(tx, school_id, [row.student_id for row in rows])
        texts_of = [texts.absence_alert(names.get(row.student_id, texts.UNKNOWN_NAME), row.day, ()) for row in rows]
        untold = [
            NewDelivery(
                delivery_id=new_id(),
                category="absence_alert",
                recipient_name="",
                student_id=row.student_id,
                day=row.day,
                address=None,
                subject=text.title,
                body=text.body,
                traceparent=row.traceparent,
            )
            for row, text in zip(rows, texts_of, strict=True)
        ]
        await deliveries.record_untold(tx, school_id, untold)

    async def tell_correction(self, tx: Tx, school_id: UUID, school: School, row: AlertRow) -> None:
        """Tell exactly those who were told of the absence."""
        alerted = await inbox_queries.recipients(
            tx, school_id, idempotency_key=idempotency_key(row), category="absence_alert"
        )
        guardians = await roster.guardians(tx, school_id, alerted)
        names = await roster.student_names(tx, school_id, [row.student_id])
        text = texts.absence_correction(names.get(row.student_id, texts.UNKNOWN_NAME), row.day)
        told = [self._message(row, "absence_correction", text, school, guardian) for guardian in guardians]
        await self._tell(tx, school_id, told)

    async def _tell(self, tx: Tx, school_id: UUID, told: Sequence[Told]) -> None:
        await inbox.notify(tx, self._announcer, school_id, [notification for notification, _ in told])
        await deliveries.queue_mails(tx, school_id, [delivery for _, delivery in told])

    def _message(self, row: AlertRow, category: Category, text: Text, school: School, guardian: Guardian) -> Told:
        notification = NewNotification(
            notification_id=new_id(),
            recipient_person_id=guardian.guardian_id,
            student_id=row.student_id,
            category=category,
            idempotency_key=idempotency_key(row),
            title=text.title,
            body=text.body,
            deep_link=f"/students/{row.student_id}/attendance/{row.day}",
            created_at=clock.now(),
        )
        delivery = NewDelivery(
            delivery_id=new_id(),
            category=category,
            notification_id=notification.notification_id,
            recipient_person_id=guardian.guardian_id,
            recipient_name=guardian.name,
            student_id=row.student_id,
            day=row.day,
            address=guardian.email,
            subject=text.title,
            body=texts.mail_body(text, school_name=school.name, link=self._public_url + notification.deep_link),
            traceparent=row.traceparent,
        )
        return notification, delivery


def idempotency_key(row: AlertRow) -> str:
    """One per absence that guardians hear of."""
    return f"absence:{row.student_id}:{row.day}:{row.episode}"
