"""What academic does unasked: it follows the calendar, tells of lessons and missing registers, imports, tidies."""

from functools import partial
from typing import Final

import msgspec

from services.academic import reactions
from services.academic.caches import KINDS
from services.academic.day_plans import actions as day_plans
from services.academic.imports.importer import Importer
from services.academic.imports.sweeper import Sweeper
from services.academic.missing_registers.actions import look_at_next_school
from services.academic.settings import Settings, objects_of
from shared.cache import Cache
from shared.clients import InternalClient
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.database import Database
from shared.worker import Worker, every, on

IMPORT_POOL: Final = 2
"""One connection for the import's transaction, one to tell how far it is. Reactions to the same schools wait for that
transaction; out of one pool they could hold the very connections that it needs to end."""


def create_worker(settings: Settings, database: Database) -> Worker:
    school = InternalClient("academic", secret=settings.service_secret, auth_url=settings.auth_url)
    imports = Database(
        msgspec.structs.replace(
            settings, database_pool_min=0, database_pool_max=IMPORT_POOL, database_pool_wait_s=30.0
        ),
        pool="imports",
    )
    cache = Cache("academic", settings, KINDS)
    for each in (database, imports):
        each.tell_of_changes(cache.drop)
    objects = objects_of(settings)
    importer = Importer(
        imports,
        objects,
        school,
        school_url=settings.school_url,
        lease_s=settings.import_lease_s,
    )
    return Worker(
        "academic",
        database=database,
        bus_url=settings.bus_url,
        reactions=[on(SchoolChanged, reactions.school_changed), on(CalendarChanged, reactions.calendar_changed)],
        tasks=[
            every(settings.import_poll_s, "work_on_imports", importer.work),
            every(settings.import_sweep_s, "remove_roster_files", Sweeper(database, objects, settings).sweep),
            every(settings.lesson_watch_poll_s, "tell_missing_registers", partial(look_at_next_school, database)),
            every(settings.plan_watch_poll_s, "tell_lessons", partial(day_plans.look_at_next_school, database)),
        ],
        resources=[cache, imports, school],
    )
