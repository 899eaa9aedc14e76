"""SQL over the rotation of one school, which is one row."""

from collections.abc import Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from services.school.rotations import rules
from services.school.rotations.rules import Bells
from services.school.rotations.schemas import Rotation, Turn
from shared.contracts.school import AcademicSession, BellPeriod
from shared.database import Reader, Tx


class RotationRow(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["weeks", "days"]
    starts_on: date
    weekdays: list[int]
    skips_days_off: bool
    turns: object


class Holiday(msgspec.Struct, frozen=True, kw_only=True):
    day: date


ROTATION = """
SELECT kind, starts_on, weekdays, skips_days_off, turns
FROM rotation
WHERE school_id = %(school_id)s
"""

SESSIONS = """
SELECT academic_session_id, sourced_id, title, kind, starts_on, ends_on, parent_id
FROM academic_session
WHERE school_id = %(school_id)s
AND ends_on >= %(since)s
ORDER BY starts_on, academic_session_id
LIMIT 10000
"""

HOLIDAYS = """
SELECT day
FROM calendar_day
WHERE school_id = %(school_id)s
AND kind = 'holiday'
AND day >= %(since)s
ORDER BY day
LIMIT 10000
"""


async def rotation(reader: Reader, *, school_id: UUID) -> Rotation | None:
    row = await reader.one(RotationRow, ROTATION, school_id=school_id)
    return msgspec.convert(msgspec.structs.asdict(row), Rotation) if row else None


async def turns(reader: Reader, *, school_id: UUID) -> dict[date, Turn]:
    """Whose turn each school day is, in order; nobody's where nothing takes turns."""
    kept = await rotation(reader, school_id=school_id)
    if kept is None:
        return {}
    since = kept.starts_on
    sessions = await reader.all(AcademicSession, SESSIONS, school_id=school_id, since=since)
    holidays = [each.day for each in await reader.all(Holiday, HOLIDAYS, school_id=school_id, since=since)]
    by_name = {turn.name: turn for turn in kept.turns}
    return {day: by_name[name] for day, name in rules.turns_of(kept, sessions, holidays).items()}


async def bells(reader: Reader, week: Sequence[BellPeriod], *, school_id: UUID) -> Bells:
    return Bells(week=week, turns=await turns(reader, school_id=school_id))


SAVE_ROTATION = """
INSERT INTO rotation (school_id, kind, starts_on, weekdays, skips_days_off, turns)
VALUES (%(school_id)s, %(kind)s, %(starts_on)s, %(weekdays)s, %(skips_days_off)s, %(turns)s::jsonb)
ON CONFLICT (school_id) DO UPDATE
SET kind = excluded.kind, starts_on = excluded.starts_on, weekdays = excluded.weekdays,
    skips_days_off = excluded.skips_days_off, turns = excluded.turns
"""


async def save_rotation(tx: Tx, *, school_id: UUID, rotation: Rotation) -> None:
    await tx.execute(
        SAVE_ROTATION,
        school_id=school_id,
        kind=rotation.kind,
        starts_on=rotation.starts_on,
        weekdays=rotation.weekdays,
        skips_days_off=rotation.skips_days_off,
        turns=msgspec.json.encode(rotation.turns).decode(),
    )


FORGET_ROTATION = """
DELETE FROM rotation
WHERE school_id = %(school_id)s
"""


async def forget_rotation(tx: Tx, *, school_id: UUID) -> bool:
    """Whether there was one."""
    return await tx.execute(FORGET_ROTATION, school_id=school_id) == 1
