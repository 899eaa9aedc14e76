"""What a school tells of itself, with what follows for announcements that wait for a time of its clock."""

from services.communication.announcements import actions
from services.communication.roster import queries as roster
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Tx


async def school_changed(tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
    # Held, as the next change may be on its way in beside this one: each sees what the other has left.
    before = await roster.time_zone_to_change(tx, school_id=event.school_id)
    is_news = await roster.save_school(tx, school_id=event.school_id, event=event, version=envelope.version)
    if is_news and event.time_zone != before:
        await actions.reschedule(tx, event.school_id, event.time_zone)
