"""Who hears of a register that is missing: who teaches the class, later the office; each of a lesson once, and nobody
any more once it was saved.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.registers import queries, texts
from services.notification.roster import queries as roster
from shared import telemetry
from shared.contracts.academic import RegisterMissing
from shared.database import Tx


async def remind(tx: Tx, herald: Herald, school_id: UUID, missing: RegisterMissing, *, missing_at: datetime) -> None:
    """Nothing when it was saved since. What is missing again after a reminder was withdrawn, as a lesson was brought
    back or somebody lacks a mark, is told again, once.
    """
    if await queries.is_settled(tx, school_id, missing.lesson_id, missing_at=missing_at):
        return
    school = await roster.school_settings(tx, school_id)
    earlier = await queries.withdrawn(tx, school_id, missing.lesson_id)
    notice = Notice(
        category="register_reminder",
        idempotency_key=f"register:{missing.lesson_id}" + (f":{earlier}" if earlier else ""),
        subject_id=missing.lesson_id,
        text=texts.register_missing(missing, school),
        deep_link=f"/lessons/{missing.lesson_id}/register",
        day=missing.day,
        traceparent=telemetry.traceparent(),
        addressees=list(await _addressees(tx, school_id, missing)),
    )
    await herald.tell(tx, school_id, [notice])


async def settle(tx: Tx, herald: Herald, school_id: UUID, lesson_ids: Sequence[UUID], *, settled_at: datetime) -> None:
    """Nothing is missing of these lessons any more: who was reminded need not do anything."""
    if not lesson_ids:
        return
    for each in await queries.settle(tx, school_id, lesson_ids, settled_at=settled_at):
        await herald.withdraw(tx, school_id, each, "register_reminder")


async def _addressees(tx: Tx, school_id: UUID, missing: RegisterMissing) -> Sequence[Addressee]:
    if missing.step == "teacher":
        return [Addressee(recipient_id=each, role="teacher") for each in missing.teacher_ids]
    office = await roster.office(tx, school_id)
    return [Addressee(recipient_id=each, role="school_admin") for each in office]
