"""Who hears of a register that is missing: who teaches the class, later the office; each of a lesson once."""

from collections.abc import Sequence
from uuid import UUID

from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.registers import texts
from services.notification.roster import queries as roster
from shared import telemetry
from shared.contracts.academic import RegisterMissing
from shared.database import Tx


async def remind(tx: Tx, herald: Herald, school_id: UUID, missing: RegisterMissing) -> None:
    school = await roster.school_settings(tx, school_id)
    notice = Notice(
        category="register_reminder",
        idempotency_key=f"register:{missing.lesson_id}",
        subject_id=missing.lesson_id,
        text=texts.register_missing(missing, school.time_zone),
        deep_link=f"/lessons/{missing.lesson_id}/register",
        day=missing.day,
        traceparent=telemetry.traceparent(),
        addressees=list(await _addressees(tx, school_id, missing)),
    )
    await herald.tell(tx, school_id, [notice])


async def _addressees(tx: Tx, school_id: UUID, missing: RegisterMissing) -> Sequence[Addressee]:
    if missing.step == "teacher":
        return [Addressee(recipient_id=each, role="teacher") for each in missing.teacher_ids]
    office = await roster.office(tx, school_id)
    return [Addressee(recipient_id=each, role="school_admin") for each in office]
