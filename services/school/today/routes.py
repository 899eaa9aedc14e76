"""A school's day: one call for whoever signs in."""

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency

from services.school.caches import TODAY
from services.school.today import actions, rules
from services.school.today.schemas import Facts, Today
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
    # Fresh: who lost a child sees it no more, and a register that was saved is seen within two seconds.
    reader, now = database.reader(school_id=caller.school, is_fresh=True), clock.now()
    whose = None if caller.role == Role.SCHOOL_ADMIN else caller.person
    facts = await answers.part(
        caller.school,
        (caller.role, whose, rules.quarter_of(now)),
        Facts,
        lambda: actions.facts_of(answers.cache, reader, caller, now=now),
    )
    unread = await actions.unread_messages(reader, caller, now=now)
    return answers.conditional(msgspec.json.encode(rules.today_of(facts, unread_messages=unread, now=now)))


router = Router("/api/v1/today", route_handlers=[show_today])
