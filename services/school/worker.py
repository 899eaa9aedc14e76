"""What school does unasked: it sends its events, and follows what the day of each school is made of."""

from services.school.caches import KINDS
from services.school.followed.reactions import told
from services.school.settings import Settings
from shared.cache import Cache
from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    ClassChanged,
    GuardianLinkChanged,
    LessonsPlanned,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.communication import AnnouncementChanged, AnnouncementRead, AnnouncementSent
from shared.contracts.notification import DeliveryEnded
from shared.database import Database
from shared.worker import Worker, on


def create_worker(settings: Settings, database: Database) -> Worker:
    cache = Cache("school", settings, KINDS)
    database.tell_of_changes(cache.drop)
    return Worker(
        "school",
        database=database,
        bus_url=settings.bus_url,
        reactions=[
            on(StudentChanged, told),
            on(TeacherChanged, told),
            on(ClassChanged, told),
            on(GuardianLinkChanged, told),
            on(AttendanceDayChanged, told),
            on(AbsenceReportChanged, told),
            on(LessonsPlanned, told),
            on(RegisterSaved, told),
            on(DeliveryEnded, told),
            on(AnnouncementSent, told),
            on(AnnouncementChanged, told),
            on(AnnouncementRead, told),
        ],
        resources=[cache],
    )
