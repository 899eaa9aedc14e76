"""What other services tell of a school, and what follows for its timetable."""

from services.academic.attendance.actions import add_default_codes
from services.academic.calendar.actions import save_calendar, save_school
from services.academic.timetable.actions import follow_calendar, plan_school
from shared import clock
from shared.contracts.envelope import Envelope
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.database import Tx


async def school_changed(tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
    """A new time zone moves the lessons to come."""
    if await save_school(tx, event.school_id, event, version=envelope.version):
        await add_default_codes(tx, event.school_id)
        await plan_school(tx, event.school_id, now=clock.now())


async def calendar_changed(tx: Tx, event: CalendarChanged, envelope: Envelope) -> None:
    """Trips that are entered after the register call back the alerts of who was on them."""
    saved = await save_calendar(tx, event.school_id, event, version=envelope.version)
    if saved.is_news:
        await follow_calendar(tx, event.school_id, saved, now=clock.now())
