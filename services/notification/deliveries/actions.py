"""Queueing mails and sending them. Between the mail server's word and ours a crash can send a mail twice, with the
same Message-ID; it can never lose one (ADR 0802).
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from typing import Final
from uuid import UUID

import msgspec
import structlog
from cryptography.fernet import InvalidToken
from opentelemetry.trace import SpanKind

from services.notification.deliveries import mails, queries, rules
from services.notification.deliveries import standing as standings
from services.notification.deliveries.schemas import Answer, Attempt, Category, Ended, NewDelivery, Outcome, Standing
from services.notification.deliveries.smtp import Smtp
from services.notification.digests import actions as digests
from services.notification.preferences import actions as preferences
from services.notification.preferences.schemas import Wishes
from services.notification.roster import queries as roster
from services.notification.settings import Settings
from services.notification.wording import Text
from shared import clock, telemetry
from shared.cancellation import stop_if_cancelled
from shared.contracts.notification import DeliveryEnded
from shared.database import Database, Tx, switch_school
from shared.outbox import Event, publish_all
from shared.seal import Seal

log = structlog.get_logger()


async def queue_mails(tx: Tx, school_id: UUID, deliveries: Sequence[NewDelivery]) -> None:
    """Put mails on their way, in the transaction of what they tell. Without a usable address: unreachable at once, but
    not while the recipient was not heard of.
    """
    now = clock.now()
    judged = [
        (msgspec.structs.replace(each, address=address, sealed_code=each.sealed_code if address else None), outcome)
        for each in deliveries
        for address in [rules.usable_address(each.address)]
        for queued in [Outcome(state="queued", detail="", next_attempt_at=each.not_before or now)]
        for outcome in [queued if address or each.is_awaited else rules.NO_ADDRESS]
    ]
    await _tell_ended(tx, school_id, await queries.add_deliveries(tx, school_id, judged, now=now))


async def record_untold(tx: Tx, school_id: UUID, deliveries: Sequence[NewDelivery]) -> None:
    """Put on record, once for each student and day, that there was nobody to write to."""
    nobody = Outcome(state="unreachable", detail="There is no guardian to tell.")
    untold = [
        (each, nobody)
        for each in deliveries
        if not await queries.is_untold(tx, school_id, student_id=each.student_id, day=each.day)
    ]
    await _tell_ended(tx, school_id, await queries.add_deliveries(tx, school_id, untold, now=clock.now()))


async def look_again(tx: Tx, school_id: UUID, notification_ids: Sequence[UUID]) -> None:
    """What became of these notifications concerns their mails too: what waits is judged now, not when it is due."""
    now = clock.now()
    untried = await queries.untried_of(tx, school_id, notification_ids)
    await queries.move(tx, school_id, dict.fromkeys(untried, now), now=now)


async def rewrite(tx: Tx, school_id: UUID, subject_id: UUID, category: Category, text: Text, *, edition: int) -> None:
    """Make what waits to be mailed of a subject, up to this edition of it, read like this. What was tried stays: every
    attempt says the same.
    """
    await queries.rewrite(
        tx,
        school_id,
        subject_id,
        category,
        edition=edition,
        subject=text.title,
        body=text.body,
        now=clock.now(),
    )


async def _settle(tx: Tx, school_id: UUID, attempt: Attempt, outcome: Outcome, *, now: datetime) -> bool:
    """False for an attempt that somebody else has taken over in the meantime."""
    if not await queries.settle(tx, school_id, attempt.delivery_id, outcome, attempts=attempt.attempts, now=now):
        return False
    state = rules.end_state(outcome.state)
    if state is not None:
        ended = Ended(
            delivery_id=attempt.delivery_id,
            category=attempt.category,
            recipient_person_id=attempt.recipient_person_id,
            student_id=attempt.student_id,
            day=attempt.day,
            state=state,
        )
        await _tell_ended(tx, school_id, [ended])
    return True


async def _tell_ended(tx: Tx, school_id: UUID, ended: Sequence[Ended]) -> None:
    """Others hear it from the transaction in which it ended: once."""
    events = [
        Event(
            data=DeliveryEnded(
                delivery_id=each.delivery_id,
                category=each.category,
                state=each.state,
                recipient_id=each.recipient_person_id,
                student_id=each.student_id,
                day=each.day,
                ended_at=clock.now(),
            ),
            subject=str(each.delivery_id),
            version=1,
        )
        for each in ended
        if rules.is_told(each.category)
    ]
    await publish_all(tx, events, school_id=school_id)


async def _addressed(tx: Tx, school_id: UUID, attempt: Attempt) -> Attempt:
    """With the address that its recipient has by now, or none: the one it was queued with may have been a stranger's.

    Who is not known keeps that one, as does a code, which is for whoever has the address.
    """
    person_id = attempt.recipient_person_id
    if person_id is None:
        return attempt
    contact = (await roster.contacts(tx, school_id, [person_id])).get(person_id)
    if contact is None:
        return attempt
    address, name = rules.usable_address(contact.email) or "", contact.name or attempt.recipient_name
    if address and address != attempt.address:
        await queries.address(tx, school_id, attempt.delivery_id, address=address, name=name)
    return msgspec.structs.replace(attempt, address=address, recipient_name=name)


NOTHING_LEFT: Final = Outcome(state="cancelled", detail="Nothing is left to tell.")


class Sender:
    """Sends what is due, one mail at a time over one connection."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._seal = Seal(settings.seal_key)
        # A mistake in our own address must stop us here: later it would look like the fault of each mail.
        Address(addr_spec=settings.mail_from)
        self._smtp = Smtp(settings.smtp_url, timeout_s=settings.smtp_timeout_s)

    async def send_due(self) -> None:
        """Send until nothing is due."""
        try:
            while await self.send_next():
                stop_if_cancelled()
        finally:
            await self._smtp.close()

    async def send_next(self) -> bool:
        """Handle the next mail that is due; False when there is none."""
        now = clock.now()
        lease = timedelta(seconds=2 * self._settings.smtp_timeout_s)
        async with self._database.transaction() as tx:
            due = await queries.claim_due_delivery(tx, now=now, leased_until=now + lease)
            if due is None:
                return False
            await switch_school(tx, due.school_id)
            attempt = await self._begin_or_leave(tx, due.school_id, due.delivery_id)
        if attempt is not None:
            await self._send(due.school_id, attempt)
        return True

    async def _begin_or_leave(self, tx: Tx, school_id: UUID, delivery_id: UUID) -> Attempt | None:
        """A mail that cannot be begun is looked at again when its lease ends, and holds up no other until then."""
        try:
            async with tx.savepoint():
                return await self._begin(tx, school_id, delivery_id)
        except Exception as error:  # noqa: BLE001 (whatever it is)
            log.error(  # noqa: TRY400 (the text may hold names)
                "mail_not_begun", school_id=str(school_id), delivery_id=str(delivery_id), error=type(error).__name__
            )
            return None

    async def _begin(self, tx: Tx, school_id: UUID, delivery_id: UUID) -> Attempt | None:
        """The attempt, counted before it is made; None when there is nothing to send any more."""
        now = clock.now()
        attempt = await queries.locked_attempt(tx, school_id, delivery_id)
        if attempt is None:
            await queries.follow_in_queue(tx, school_id, delivery_id)
            return None
        attempt = await _addressed(tx, school_id, attempt)
        wishes = await self._wishes(tx, school_id, attempt)
        standing = await self._standing(tx, school_id, attempt, wishes, now=now)
        ended = rules.before_attempt(attempt, standing, max_attempts=self._settings.mail_attempts, now=now)
        held_until = rules.held_until(standing, now=now)
        if ended is None and held_until is None:
            attempt = await self._written(tx, school_id, attempt, wishes, now=now)
            ended = None if attempt.body else NOTHING_LEFT
        if ended is not None:
            await _settle(tx, school_id, attempt, ended, now=now)
        elif held_until is not None:
            await queries.hold(tx, school_id, delivery_id, until=held_until, now=now)
        if ended is not None or held_until is not None:
            await queries.follow_in_queue(tx, school_id, delivery_id)
            return None
        await queries.count_attempt(tx, school_id, delivery_id, now=now)
        return msgspec.structs.replace(attempt, attempts=attempt.attempts + 1)

    async def _wishes(self, tx: Tx, school_id: UUID, attempt: Attempt) -> Wishes | None:
        """What the recipient wants; nobody can wish not to have a code."""
        if attempt.recipient_person_id is None or not rules.is_told(attempt.category):
            return None
        return (await preferences.wishes_of(tx, school_id, [attempt.recipient_person_id]))[attempt.recipient_person_id]

    async def _written(
        self, tx: Tx, school_id: UUID, attempt: Attempt, wishes: Wishes | None, *, now: datetime
    ) -> Attempt:
        """A digest is written when it is sent, with no body when nothing is left to tell; everything else stands."""
        if attempt.category != "digest" or wishes is None:
            return attempt
        text = await digests.written(
            tx, school_id, attempt.delivery_id, wishes, public_url=self._settings.public_url, now=now
        )
        return msgspec.structs.replace(attempt, subject=text.title if text else "", body=text.body if text else "")

    async def _standing(
        self, tx: Tx, school_id: UUID, attempt: Attempt, wishes: Wishes | None, *, now: datetime
    ) -> Standing:
        standing = rules.as_wished(attempt, await standings.standing(tx, school_id, attempt, now=now), wishes, now=now)
        if attempt.category == "digest":
            is_awaited = await digests.is_awaited(tx, school_id, attempt.delivery_id, since=now - rules.AWAITED_FOR)
            return msgspec.structs.replace(standing, is_awaited=is_awaited)
        if attempt.category != "absence_correction":
            return standing
        tried = await standings.was_alert_tried(tx, school_id, attempt.notification_id)
        return msgspec.structs.replace(standing, was_alert_tried=tried)

    async def _send(self, school_id: UUID, attempt: Attempt) -> None:
        with telemetry.span("send mail", SpanKind.CLIENT, attempt.traceparent) as span:
            answer = await self._hand_over(attempt)
            now = clock.now()
            outcome = rules.after_attempt(
                answer,
                attempts=attempt.attempts,
                max_attempts=self._settings.mail_attempts,
                now=now,
                base_s=self._settings.mail_retry_base_s,
                chance=random.random(),
            )
            span.set_attribute("delivery.state", outcome.state)
            span.set_attribute("delivery.attempts", attempt.attempts)
            async with self._database.transaction(school_id=school_id) as tx:
                # Who was overtaken leaves the queue alone: whoever has the mail in hand now holds the lease.
                if await _settle(tx, school_id, attempt, outcome, now=now):
                    await queries.follow_in_queue(tx, school_id, attempt.delivery_id)

    async def _hand_over(self, attempt: Attempt) -> Answer:
        """What became of one attempt. A mail that cannot be written is an answer too: it must not be tried for ever."""
        try:
            message = mails.compose(
                attempt,
                mail_from=self._settings.mail_from,
                code=self._seal.open(attempt.sealed_code) if attempt.sealed_code else None,
                now=clock.now(),
                traceparent=telemetry.traceparent(),
                preferences_url=f"{self._settings.public_url}/notification-preferences",
            )
        except InvalidToken:
            # Another key than `auth` has sealed with: can be mended.
            return Answer(kind="refused_for_now", text="The code cannot be opened.")
        except (MessageError, ValueError) as error:
            return Answer(kind="refused_for_good", text=f"The mail cannot be written: {type(error).__name__}")
        return await self._smtp.send(message, sender=self._settings.mail_from, recipient=attempt.address)
