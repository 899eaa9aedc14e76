"""Keeping the read models right, whatever the order in which events come."""

from uuid import UUID

from services.communication.roster import queries
from shared.contracts.academic import ClassChanged
from shared.database import Tx


async def save_class(tx: Tx, school_id: UUID, event: ClassChanged, *, version: int) -> None:
    """Replace a class and all its members, unless a newer state of it is known."""
    if await queries.save_class(tx, school_id=school_id, event=event, version=version):
        await queries.forget_members(tx, school_id=school_id, class_id=event.class_id)
        await queries.add_members(tx, school_id=school_id, class_id=event.class_id, members=event.members)
