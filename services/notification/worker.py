"""What notification does unasked: it hears what is to be told, tells it in the app, and sends mails."""

from functools import partial

from services.notification.absence_reports.reactions import absence_report_changed
from services.notification.alerts import actions as alerts
from services.notification.alerts.reactions import attendance_day_changed
from services.notification.alerts.telling import Teller
from services.notification.announcements.reactions import (
    announcement_changed,
    announcement_held,
    announcement_sent,
    announcement_withdrawn,
)
from services.notification.deliveries.actions import Sender
from services.notification.deliveries.reactions import invite_issued, password_reset_requested
from services.notification.inbox.live import Announcer
from services.notification.notices.actions import Herald
from services.notification.registers.reactions import (
    lessons_planned,
    register_missing,
    register_not_missing,
    register_saved,
)
from services.notification.roster import reactions as roster
from services.notification.settings import Settings
from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    GuardianChanged,
    GuardianLinkChanged,
    LessonsPlanned,
    RegisterMissing,
    RegisterNotMissing,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import InviteIssued, MembershipChanged, PasswordResetRequested
from shared.contracts.communication import (
    AnnouncementChanged,
    AnnouncementHeld,
    AnnouncementSent,
    AnnouncementWithdrawn,
)
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.worker import MEASURE_S, Worker, every, on


def create_worker(settings: Settings, database: Database, announcer: Announcer | None = None) -> Worker:
    announcer = announcer or Announcer(settings.redis_url)
    teller, herald = Teller(announcer, settings.public_url), Herald(announcer, settings.public_url)
    senders = [Sender(database, settings) for _ in range(settings.smtp_connections)]
    return Worker(
        "notification",
        database=database,
        bus_url=settings.bus_url,
        reactions=[
            on(SchoolChanged, roster.school_changed),
            on(StudentChanged, roster.student_changed),
            on(TeacherChanged, roster.teacher_changed),
            on(GuardianChanged, roster.guardian_changed),
            on(GuardianLinkChanged, roster.guardian_link_changed),
            on(MembershipChanged, roster.membership_changed),
            on(AttendanceDayChanged, partial(attendance_day_changed, teller)),
            on(AbsenceReportChanged, partial(absence_report_changed, herald)),
            on(RegisterMissing, partial(register_missing, herald)),
            on(RegisterNotMissing, partial(register_not_missing, herald)),
            on(RegisterSaved, partial(register_saved, herald)),
            on(LessonsPlanned, partial(lessons_planned, herald)),
            on(AnnouncementSent, partial(announcement_sent, herald)),
            on(AnnouncementChanged, partial(announcement_changed, herald)),
            on(AnnouncementWithdrawn, partial(announcement_withdrawn, herald)),
            on(AnnouncementHeld, partial(announcement_held, herald)),
            on(InviteIssued, partial(invite_issued, settings.public_url)),
            on(PasswordResetRequested, partial(password_reset_requested, settings.public_url)),
        ],
        tasks=[
            every(settings.poll_s, "release_alerts", partial(alerts.release_due, database, teller, settings)),
            every(MEASURE_S, "measure_alerts", partial(alerts.measure_overdue, database)),
            *(every(settings.poll_s, f"send_mails_{n}", sender.send_due) for n, sender in enumerate(senders)),
        ],
    )
