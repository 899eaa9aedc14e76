"""The caller's own school."""

from litestar import Response, Router, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.school.caches import SCHOOL
from services.school.schools import actions, queries
from services.school.schools.rules import (
    OfficeBeforeTeacher,
    PaleColour,
    StaleSchool,
    UnknownLocale,
    UnknownTimeZone,
    UnusableLogo,
)
from services.school.schools.schemas import School, SchoolChange
from shared.database import Database
from shared.identity import Caller
from shared.problems import NotFound
from shared.web.conditional import Answers


@get(
    "/",
    operation_id="show_school",
    summary="The caller's school and its settings.",
    opt={"permission": "school.read", "problems": (NotFound,), "cached": SCHOOL},
)
async def show_school(
    database: NamedDependency[Database], caller: NamedDependency[Caller], answers: NamedDependency[Answers]
) -> Response[School]:
    async def read() -> School:
        found = await queries.school(database.reader(school_id=caller.school), school_id=caller.school)
        if found is None:
            raise NotFound
        return found

    return await answers.of(caller.school, (), read)


@patch(
    "/",
    operation_id="change_school",
    summary="Change the school's name, time zone, locale, brand, or when somebody hears of what is missing.",
    opt={
        "permission": "school.manage",
        "problems": (
            NotFound,
            StaleSchool,
            UnknownTimeZone,
            UnknownLocale,
            OfficeBeforeTeacher,
            PaleColour,
            UnusableLogo,
        ),
    },
)
async def change_school(
    data: JSONBody[SchoolChange], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> School:
    return await actions.change_school(database, caller.school, data)


router = Router("/api/v1/school", route_handlers=[show_school, change_school])
