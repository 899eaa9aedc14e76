"""A school's day: one call for whoever signs in."""

from litestar import Response, Router, get
from litestar.di import NamedDependency

from services.school.caches import TODAY
from services.school.today import actions
from services.school.today.schemas import Today
from shared import clock
from shared.database import Database
from shared.identity import Caller, Role
from shared.problems import Forbidden, NotFound
from shared.web.conditional import Answers


@get(
    "/",
    operation_id="show_today",
    summary="The school's day: the office's counts, a teacher's lessons, a guardian's children, a student's own.",
    opt={"permission": "today.read", "cached": TODAY, "problems": (NotFound, Forbidden)},
)
async def show_today(
    database: NamedDependency[Database], caller: NamedDependency[Caller], answers: NamedDependency[Answers]
) -> Response[Today]:
    # Lessons begin without an event: an answer is remembered for its minute only, and for whom it is.
    minute = clock.now().replace(second=0, microsecond=0)
    whose = None if caller.role == Role.SCHOOL_ADMIN else caller.person

    async def read() -> Today:
        # Fresh: who lost a child sees it no more, and a register that was saved is seen within two seconds.
        reader = database.reader(school_id=caller.school, is_fresh=True)
        return await actions.today_of(reader, caller, now=clock.now())

    return await answers.of(caller.school, (caller.role, whose, minute), read)


router = Router("/api/v1/today", route_handlers=[show_today])
