"""What academic does unasked: it follows the school's calendar, and works on imports."""

from services.academic import reactions
from services.academic.imports.importer import Importer
from services.academic.settings import Settings, objects_of
from shared.clients import InternalClient
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.database import Database
from shared.worker import Worker, every, on


def create_worker(settings: Settings, database: Database) -> Worker:
    school = InternalClient("academic", secret=settings.service_secret, auth_url=settings.auth_url)
    importer = Importer(
        database,
        objects_of(settings),
        school,
        school_url=settings.school_url,
        lease_s=settings.import_lease_s,
    )
    return Worker(
        "academic",
        database=database,
        bus_url=settings.bus_url,
        reactions=[on(SchoolChanged, reactions.school_changed), on(CalendarChanged, reactions.calendar_changed)],
        tasks=[every(settings.import_poll_s, "work_on_imports", importer.work)],
    )
