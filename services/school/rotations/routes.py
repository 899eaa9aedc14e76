"""Rotations over HTTP."""

from typing import Final

from litestar import Response, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.school.caches import ROTATION, ROTATION_DAYS
from services.school.dates import FirstDay, LastDay, wanted_dates
from services.school.rotations import actions, queries
from services.school.rotations.rules import InvalidRotation
from services.school.rotations.schemas import Rotation, RotationDay
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page
from shared.problems import NotFound
from shared.web.conditional import Answers

READ: Final = {"permission": "school.read"}
MANAGE: Final = {"permission": "school.manage"}


@get(
    "/rotation",
    operation_id="show_rotation",
    summary="Weeks or days that take turns; 404 where every week is alike.",
    opt={**READ, "cached": ROTATION, "problems": (NotFound,)},
)
async def show_rotation(
    database: NamedDependency[Database], caller: NamedDependency[Caller], answers: NamedDependency[Answers]
) -> Response[Rotation]:
    async def read() -> Rotation:
        found = await queries.rotation(database.reader(school_id=caller.school), school_id=caller.school)
        if found is None:
            raise NotFound
        return found

    return await answers.of(caller.school, (), read)


@put(
    "/rotation",
    operation_id="save_rotation",
    summary="Let weeks or days take turns, each with periods of its own.",
    opt={**MANAGE, "problems": (NotFound, InvalidRotation)},
)
async def save_rotation(
    data: JSONBody[Rotation], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Rotation:
    return await actions.save_rotation(database, caller.school, data)


@delete(
    "/rotation",
    operation_id="forget_rotation",
    summary="Let every week be alike again.",
    opt={**MANAGE, "problems": (NotFound,)},
)
async def forget_rotation(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> None:
    await actions.forget_rotation(database, caller.school)


@get(
    "/rotation-days",
    operation_id="list_rotation_days",
    summary="Whose turn each school day is, by date.",
    opt={**READ, "cached": ROTATION_DAYS},
)
async def list_rotation_days(
    *,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    from_: FirstDay = None,
    to: LastDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[RotationDay]]:
    dates = wanted_dates(from_, to, limit, cursor)

    async def read() -> Page[RotationDay]:
        turns = await queries.turns(database.reader(school_id=caller.school), school_id=caller.school)
        days = [
            RotationDay(day=day, turn=turn.name)
            for day, turn in turns.items()
            if day > dates.after and (from_ is None or day >= from_) and (to is None or day <= to)
        ]
        return dates.page(days[: limit + 1], path="/api/v1/rotation-days")

    return await answers.of(caller.school, dates, read)


router = Router("/api/v1", route_handlers=[show_rotation, save_rotation, forget_rotation, list_rotation_days])
