"""What notification does unasked: it hears of absences, tells guardians when the grace is over, and sends mails."""

from functools import partial

from services.notification.alerts import actions as alerts
from services.notification.alerts.reactions import attendance_day_changed
from services.notification.alerts.telling import Teller
from services.notification.deliveries.actions import Sender
from services.notification.deliveries.reactions import invite_issued, password_reset_requested
from services.notification.inbox.live import Announcer
from services.notification.roster import reactions as roster
from services.notification.settings import Settings
from shared.contracts.academic import AttendanceDayChanged, GuardianChanged, GuardianLinkChanged, StudentChanged
from shared.contracts.auth import InviteIssued, MembershipChanged, PasswordResetRequested
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.worker import Worker, every, on


def create_worker(settings: Settings, database: Database, announcer: Announcer | None = None) -> Worker:
    teller = Teller(announcer or Announcer(settings.redis_url), settings.public_url)
    senders = [Sender(database, settings) for _ in range(settings.smtp_connections)]
    return Worker(
        "notification",
        database=database,
        bus_url=settings.bus_url,
        reactions=[
            on(SchoolChanged, roster.school_changed),
            on(StudentChanged, roster.student_changed),
            on(GuardianChanged, roster.guardian_changed),
            on(GuardianLinkChanged, roster.guardian_link_changed),
            on(MembershipChanged, roster.membership_changed),
            on(AttendanceDayChanged, partial(attendance_day_changed, teller)),
            on(InviteIssued, partial(invite_issued, settings.public_url)),
            on(PasswordResetRequested, partial(password_reset_requested, settings.public_url)),
        ],
        tasks=[
            every(settings.poll_s, "release_alerts", partial(alerts.release_due, database, teller, settings)),
            *(every(settings.poll_s, f"send_mails_{n}", sender.send_due) for n, sender in enumerate(senders)),
        ],
    )
