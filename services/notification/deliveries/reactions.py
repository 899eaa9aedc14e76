"""Mails that `auth` asks for. Their codes stay sealed until the moment of sending."""

from services.notification.deliveries import actions, mails
from services.notification.deliveries.schemas import PLATFORM, NewDelivery
from services.notification.roster import queries as roster
from shared import telemetry
from shared.contracts.auth import InviteIssued, PasswordResetRequested
from shared.contracts.envelope import Envelope
from shared.database import Tx, switch_school


async def invite_issued(public_url: str, tx: Tx, event: InviteIssued, envelope: Envelope) -> None:
    await switch_school(tx, event.school_id)
    school = await roster.school_settings(tx, event.school_id)
    delivery = NewDelivery(
        delivery_id=envelope.id,
        category="invite",
        recipient_name=event.name,
        address=event.email,
        subject=mails.invite_subject(event),
        body=mails.invite_body(event, public_url, school),
        sealed_code=event.sealed_code,
        expires_at=event.expires_at,
        traceparent=telemetry.traceparent(),
    )
    await actions.queue_mails(tx, event.school_id, [delivery])


async def password_reset_requested(public_url: str, tx: Tx, event: PasswordResetRequested, envelope: Envelope) -> None:
    """A login belongs to no school, so this mail doesn't either."""
    delivery = NewDelivery(
        delivery_id=envelope.id,
        category="password_reset",
        recipient_name="",
        address=event.email,
        subject="A new password for Homeroom",
        body=mails.reset_body(event, public_url),
        sealed_code=event.sealed_code,
        expires_at=event.expires_at,
        traceparent=telemetry.traceparent(),
    )
    await switch_school(tx, PLATFORM)
    await actions.queue_mails(tx, PLATFORM, [delivery])
