"""What school does unasked: it sends its events. It listens to nobody."""

from services.school.settings import Settings
from shared.database import Database
from shared.worker import Worker


def create_worker(settings: Settings, database: Database) -> Worker:
    return Worker("school", database=database, bus_url=settings.bus_url, reactions=[], tasks=[])
