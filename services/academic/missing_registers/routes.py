"""Missing and incomplete registers over HTTP."""

from datetime import UTC, date, datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.academic import access, caches
from services.academic.missing_registers import actions, rules
from services.academic.missing_registers.queries import MissingFilter
from services.academic.missing_registers.schemas import Lack, MissingKey, MissingRegister
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import BadRequest

OnDay = Annotated[date | None, QueryParameter(name="day", description="One day; the last seven unless told.")]
OfClass = Annotated[UUID | None, QueryParameter(name="class_id", description="Only those of this class.")]
OfTeacher = Annotated[UUID | None, QueryParameter(name="teacher_id", description="Only those of this teacher.")]
Lacking = Annotated[
    Lack | None, QueryParameter(name="lack", description="Only those never saved, or only those saved incompletely.")
]

START: Final = MissingKey(date.max, datetime(9999, 12, 31, tzinfo=UTC), UUID(int=0))


@get(
    "/missing-registers",
    operation_id="list_missing_registers",
    summary="Lessons that have begun and lack marks, the newest first: one's own, or for the office the school's.",
    opt={"permission": "missing_register.read", "problems": (BadRequest,)},
)
async def list_missing_registers(
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
    day: OnDay = None,
    class_id: OfClass = None,
    teacher_id: OfTeacher = None,
    lack: Lacking = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[MissingRegister]:
    reader = database.reader(school_id=caller.school)
    now = clock.now()
    today = clock.school_day(now, await caches.time_zone_of(cache, reader, school_id=caller.school))
    first, last = rules.days_listed(day, today=today)
    only = MissingFilter(
        first=first,
        last=last,
        teacher_id=access.own_lessons_only(caller),
        other_teacher_id=teacher_id,
        class_id=class_id,
        is_saved=None if lack is None else lack == "incomplete",
    )
    before = decode_cursor(cursor, MissingKey) or START
    found = await actions.missing_registers(reader, caller.school, only, before=before, now=now, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/api/v1/missing-registers",
        filters={"day": day, "class_id": class_id, "teacher_id": teacher_id, "lack": lack},
        key=lambda each: MissingKey(each.day, each.starts_at, each.lesson_id),
    )


router = Router("/api/v1", route_handlers=[list_missing_registers])
