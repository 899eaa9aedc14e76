"""Guardians are told of absences: in the transaction that moves the alert."""

from collections.abc import Sequence
from uuid import UUID

from services.notification.alerts import texts
from services.notification.alerts.schemas import AlertRow
from services.notification.deliveries import actions as deliveries
from services.notification.deliveries.schemas import NewDelivery
from services.notification.inbox import queries as inbox_queries
from services.notification.inbox.live import Announcer
from services.notification.inbox.schemas import Category
from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.roster import queries as roster
from services.notification.wording import UNKNOWN_NAME, Text
from shared.database import Tx
from shared.ids import new_id


class Teller:
    """Says of alerts what is to be said, through the one door for all notices."""

    def __init__(self, announcer: Announcer, public_url: str) -> None:
        self._herald = Herald(announcer, public_url)

    async def tell_alerts(
        self, tx: Tx, school_id: UUID, alerts: Sequence[tuple[AlertRow, Sequence[UUID]]], *, locale: str
    ) -> None:
        """Tell the guardians beside each alert."""
        names = await roster.student_names(tx, school_id, [row.student_id for row, _ in alerts])
        notices = [
            _notice(
                row,
                "absence_alert",
                texts.absence_alert(names.get(row.student_id, UNKNOWN_NAME), row.day, row.lessons, locale),
                guardian_ids,
            )
            for row, guardian_ids in alerts
        ]
        await self._herald.tell(tx, school_id, notices)

    async def record_untold(self, tx: Tx, school_id: UUID, rows: Sequence[AlertRow], *, locale: str) -> None:
        """Absences that there is nobody to tell of: the office must see them, so they stand in the delivery log."""
        names = await roster.student_names(tx, school_id, [row.student_id for row in rows])
        texts_of = [texts.absence_alert(names.get(row.student_id, UNKNOWN_NAME), row.day, (), locale) for row in rows]
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

    async def tell_correction(self, tx: Tx, school_id: UUID, row: AlertRow, *, is_explained: bool, locale: str) -> None:
        """Tell exactly those who were told of the absence that it was none, or that it is explained by now."""
        alerted = await inbox_queries.recipients(
            tx, school_id, idempotency_key=idempotency_key(row), category="absence_alert"
        )
        names = await roster.student_names(tx, school_id, [row.student_id])
        written = texts.absence_explained if is_explained else texts.absence_correction
        text = written(names.get(row.student_id, UNKNOWN_NAME), row.day, locale)
        await self._herald.tell(tx, school_id, [_notice(row, "absence_correction", text, alerted)])


def _notice(row: AlertRow, category: Category, text: Text, guardian_ids: Sequence[UUID]) -> Notice:
    return Notice(
        category=category,
        idempotency_key=idempotency_key(row),
        text=text,
        deep_link=f"/students/{row.student_id}/attendance/{row.day}",
        day=row.day,
        traceparent=row.traceparent,
        addressees=[
            Addressee(recipient_id=each, role="guardian", student_ids=[row.student_id]) for each in guardian_ids
        ],
    )


def idempotency_key(row: AlertRow) -> str:
    """One per absence that guardians hear of."""
    return f"absence:{row.student_id}:{row.day}:{row.episode}"
