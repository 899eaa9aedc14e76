"""A school's day: one call for whoever signs in."""

from litestar import Router, get
from litestar.di import NamedDependency

from services.school.today import actions
from services.school.today.schemas import Today
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.problems import Forbidden, NotFound


@get(
    "/",
    operation_id="show_today",
    summary="The school's day: the office's counts, a teacher's lessons, a guardian's children, a student's own.",
    opt={"permission": "today.read", "problems": (NotFound, Forbidden)},
)
async def show_today(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> Today:
    # Fresh: who lost a child sees it no more, and a register that was saved is seen within two seconds.
    reader = database.reader(school_id=caller.school, is_fresh=True)
    return await actions.today_of(reader, caller, now=clock.now())


router = Router("/api/v1/today", route_handlers=[show_today])
