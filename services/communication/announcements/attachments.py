"""Files that hang on announcements: `files` keeps them, whoever may read the announcement may have them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from services.communication.announcements.schemas import Attachment
from services.communication.files import actions as files
from services.communication.files import queries as file_queries
from services.communication.settings import Settings
from shared.database import Reader, Tx
from shared.identity import Caller

KIND: Final = "announcement"


async def hang(
    tx: Tx, settings: Settings, caller: Caller, announcement_id: UUID, file_ids: Sequence[UUID]
) -> list[Attachment]:
    """Make these, in this order, the files of the announcement. Raises UnknownFile, FileNotReady."""
    there = await hanging(tx, caller.school, [announcement_id])
    gone = [each.file_id for each in there.get(announcement_id, []) if each.file_id not in file_ids]
    if gone:
        await files.detach(tx, settings, caller.school, used_by_kind=KIND, used_by_id=announcement_id, file_ids=gone)
    await files.attach(tx, caller, used_by_kind=KIND, used_by_id=announcement_id, file_ids=file_ids)
    return (await hanging(tx, caller.school, [announcement_id])).get(announcement_id, [])


async def hanging(reader: Reader, school_id: UUID, announcement_ids: Sequence[UUID]) -> dict[UUID, list[Attachment]]:
    found = await file_queries.attached_files(
        reader, school_id=school_id, used_by_kind=KIND, used_by_ids=announcement_ids
    )
    of: dict[UUID, list[Attachment]] = {}
    for each in found:
        fields = msgspec.structs.asdict(each)
        of.setdefault(fields.pop("used_by_id"), []).append(Attachment(**fields))
    return of
