"""What communication does unasked: it keeps its read models, sends what is due, and clears away files."""

from functools import partial

from services.communication.announcements.reactions import school_changed
from services.communication.announcements.sending import send_due
from services.communication.files.store import FileStore
from services.communication.files.sweeper import Sweeper
from services.communication.receipts.reactions import announcement_delivered
from services.communication.roster import reactions as roster
from services.communication.settings import Settings
from shared.contracts.academic import (
    AttendanceDayChanged,
    ClassChanged,
    GuardianChanged,
    GuardianLinkChanged,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import MembershipChanged
from shared.contracts.notification import AnnouncementDelivered
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.worker import Worker, every, on


def create_worker(settings: Settings, database: Database) -> Worker:
    sweeper = Sweeper(database, FileStore(settings), settings)
    return Worker(
        "communication",
        database=database,
        bus_url=settings.bus_url,
        reactions=[
            on(SchoolChanged, school_changed),
            on(StudentChanged, roster.student_changed),
            on(TeacherChanged, roster.teacher_changed),
            on(GuardianChanged, roster.guardian_changed),
            on(GuardianLinkChanged, roster.guardian_link_changed),
            on(ClassChanged, roster.class_changed),
            on(MembershipChanged, roster.membership_changed),
            on(AttendanceDayChanged, roster.attendance_day_changed),
            on(AnnouncementDelivered, announcement_delivered),
        ],
        tasks=[
            every(settings.poll_s, "send_announcements", partial(send_due, database)),
            every(settings.file_poll_s, "discard_files", sweeper.discard_due),
            every(settings.file_poll_s, "remove_objects", sweeper.remove_objects),
            every(settings.file_poll_s, "sweep_bucket", sweeper.sweep_bucket),
        ],
    )
