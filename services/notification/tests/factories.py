"""A school with people in it, made as it comes about in life: by events."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.notification.alerts import actions as alerts
from services.notification.alerts.telling import Teller
from services.notification.deliveries.actions import Sender
from services.notification.inbox.live import Announcer
from services.notification.settings import Settings
from shared import clock
from shared.bus import Outcome
from shared.contracts.academic import (
    AbsenceReportChanged,
    AttendanceDayChanged,
    GuardianChanged,
    GuardianLinkChanged,
    RegisterMissing,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import InviteIssued, MembershipChanged
from shared.contracts.communication import (
    AnnouncementChanged,
    AnnouncementRecipient,
    AnnouncementSent,
    AnnouncementWithdrawn,
)
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.worker import Worker

TIME_ZONE = "America/New_York"


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    recipient_person_id: UUID
    category: str
    title: str
    body: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    delivery_id: UUID
    recipient_person_id: UUID | None
    address: str | None
    category: str
    state: str
    attempts: int
    last_error: str | None
    sealed_code: str | None


MAKE_NEXT_ATTEMPT_DUE = """
UPDATE delivery SET next_attempt_at = %(now)s WHERE school_id = %(school_id)s AND state IN ('queued', 'retried')
"""
NOTIFIED = """
SELECT recipient_person_id, category, title, body FROM notification
WHERE school_id = %(school_id)s ORDER BY notification_id LIMIT 10000
"""
SENT = """
SELECT delivery_id, recipient_person_id, address, category, state, attempts, last_error, sealed_code FROM delivery
WHERE school_id = %(school_id)s ORDER BY delivery_id LIMIT 10000
"""
MAKE_DUE = "UPDATE alert_due SET due_at = %(now)s WHERE school_id = %(school_id)s"
MAKE_ALERT_DUE = "UPDATE absence_alert SET due_at = %(now)s WHERE school_id = %(school_id)s AND state = 'pending'"
MAKE_MAIL_DUE = "UPDATE delivery_due SET due_at = %(now)s WHERE school_id = %(school_id)s"
STATE = """
SELECT state || coalesce(': ' || reason, '') FROM absence_alert
WHERE school_id = %(school_id)s AND student_id = %(student_id)s AND day = %(day)s
"""


class School:
    """Events go in through the worker; what they led to is read from the tables."""

    def __init__(self, worker: Worker, settings: Settings, database: Database, announcer: Announcer) -> None:
        self.school_id = new_id()
        self.teacher_login = new_id()
        self.today = clock.school_day(clock.now(), TIME_ZONE)
        self.sender = Sender(database, settings)
        self.database = database
        self._worker = worker
        self._release = partial(alerts.release_due, database, Teller(announcer, settings.public_url), settings)
        self._versions: dict[object, int] = {}

    async def hear(self, event: msgspec.Struct, *, about: object, version: int | None = None, **how: Any) -> None:
        self._versions[about] = version or self._versions.get(about, 0) + 1
        outcome = await deliver(self._worker, event, school_id=self.school_id, version=self._versions[about], **how)
        assert outcome is Outcome.DONE

    async def student(self, given_name: str = "Ada") -> UUID:
        student_id = new_id()
        event = StudentChanged(student_id=student_id, given_name=given_name, family_name="Lovelace", is_active=True)
        await self.hear(event, about=student_id)
        return student_id

    async def guardian(
        self, *children: UUID, email: str | None = "", guardian_id: UUID | None = None, **link: Any
    ) -> UUID:
        """With an address of their own, unless told otherwise, and a link to each of `children`."""
        guardian_id = guardian_id or new_id()
        address = f"{guardian_id}@home.test" if email == "" else email
        event = GuardianChanged(
            guardian_id=guardian_id, given_name="Anne", family_name="Byron", email=address, is_active=True
        )
        await self.hear(event, about=guardian_id)
        for student_id in children:
            await self.link(guardian_id, student_id, **link)
        return guardian_id

    async def is_set(self, **fields: Any) -> None:
        """As `school` tells of its settings; in New York, unless told otherwise."""
        settings: dict[str, Any] = {
            "school_id": self.school_id,
            "district_id": new_id(),
            "name": "Lincoln Elementary",
            "time_zone": TIME_ZONE,
            "grace_period_minutes": 10,
            **fields,
        }
        await self.hear(SchoolChanged(**settings), about=self.school_id)

    async def guardian_leaves(self, guardian_id: UUID) -> None:
        event = GuardianChanged(guardian_id=guardian_id, given_name="Anne", family_name="Byron", is_active=False)
        await self.hear(event, about=guardian_id)

    async def link(self, guardian_id: UUID, student_id: UUID, **fields: Any) -> None:
        link: dict[str, Any] = {
            "guardian_link_id": guardian_id,
            "guardian_id": guardian_id,
            "student_id": student_id,
            "relation": "mother",
            "may_see": True,
            "receives_alerts": True,
            "priority": 1,
            "is_active": True,
            **fields,
        }
        if (guardian_id, student_id) not in self._versions:
            self._versions[guardian_id, student_id] = 0
        link["guardian_link_id"] = fields.get("guardian_link_id") or UUID(int=guardian_id.int ^ student_id.int)
        await self.hear(GuardianLinkChanged(**link), about=(guardian_id, student_id))

    async def teacher(self, *, email: str | None = "", is_active: bool = True, teacher_id: UUID | None = None) -> UUID:
        teacher_id = teacher_id or new_id()
        address = f"{teacher_id}@school.test" if email == "" else email
        event = TeacherChanged(
            teacher_id=teacher_id, given_name="Tess", family_name="Hopper", email=address, is_active=is_active
        )
        await self.hear(event, about=teacher_id)
        return teacher_id

    async def admin(self, *, email: str | None = None, user_id: UUID | None = None, is_active: bool = True) -> UUID:
        """The login of an admin, who has no school record."""
        user_id = user_id or new_id()
        event = MembershipChanged(
            membership_id=user_id, user_id=user_id, role="school_admin", email=email, is_active=is_active
        )
        await self.hear(event, about=("membership", user_id))
        return user_id

    async def announce(
        self, *recipients: AnnouncementRecipient, announcement_id: UUID | None = None, **fields: Any
    ) -> UUID:
        announcement_id = announcement_id or new_id()
        await self.hear(announcement(announcement_id, *recipients, **fields), about=new_id(), subject="a/1/1")
        return announcement_id

    async def change(self, announcement_id: UUID, *, version: int, **fields: Any) -> None:
        await self.hear(changed(announcement_id, **fields), about=("change", announcement_id), version=version)

    async def withdraw(self, announcement_id: UUID) -> None:
        event = AnnouncementWithdrawn(announcement_id=announcement_id, withdrawn_at=clock.now())
        await self.hear(event, about=new_id())

    def report(self, student_id: UUID, **fields: Any) -> AbsenceReportChanged:
        report: dict[str, Any] = {
            "absence_report_id": new_id(),
            "student_id": student_id,
            "kind": "leave",
            "starts_on": self.today,
            "ends_on": self.today,
            "state": "pending",
            "changed_by": new_id(),
            **fields,
        }
        return AbsenceReportChanged(**report)

    def missing(self, *teacher_ids: UUID, **fields: Any) -> RegisterMissing:
        missing: dict[str, Any] = {
            "lesson_id": new_id(),
            "class_id": new_id(),
            "class_title": "Maths 5b",
            "day": self.today,
            "starts_at": clock.now(),
            "ends_at": clock.now(),
            "step": "teacher",
            "teacher_ids": list(teacher_ids),
            **fields,
        }
        return RegisterMissing(**missing)

    async def login(self, person_id: UUID, *, user_id: UUID, role: str = "guardian") -> None:
        event = MembershipChanged(
            membership_id=new_id(), user_id=user_id, role=role, person_id=person_id, is_active=True
        )
        await self.hear(event, about=event.membership_id)

    def invite(self, sealed_code: str, **fields: Any) -> InviteIssued:
        """An hour long."""
        invite: dict[str, Any] = {
            "invite_id": new_id(),
            "email": f"{new_id()}@home.test",
            "name": "Anne Byron",
            "role": "guardian",
            "school_id": self.school_id,
            "school_name": "Lincoln Elementary",
            "sealed_code": sealed_code,
            "expires_at": clock.now() + timedelta(hours=1),
            **fields,
        }
        return InviteIssued(**invite)

    async def mark(
        self,
        student_id: UUID,
        *,
        absent: bool,
        day: date | None = None,
        version: int | None = None,
        lessons: tuple[str, ...] = ("Maths",),
        by: UUID | None = None,
        marked_by: Sequence[UUID] | None = None,
        status: Literal["absent", "excused", "late", "present", "unmarked"] | None = None,
        explained: Sequence[str] | None = None,
        **how: Any,
    ) -> None:
        """A register was saved just now."""
        event = AttendanceDayChanged(
            student_id=student_id,
            day=day or self.today,
            status=status or ("absent" if absent else "present"),
            is_unexplained_absence=absent,
            lessons=list(lessons) if absent else [],
            changed_at=clock.now(),
            changed_by=by or self.teacher_login,
            marked_by=None if marked_by is None else list(marked_by),
            explained_lessons=None if explained is None else list(explained),
        )
        await self.hear(event, about=(student_id, event.day), version=version, **how)

    async def grace_ends(self) -> None:
        await self.grace_is_over()
        await self.look()

    async def grace_is_over(self) -> None:
        """Turn the clock of what is pending to now."""
        async with self.database.transaction(school_id=self.school_id) as tx:
            await tx.execute(MAKE_DUE, now=clock.now(), school_id=self.school_id)
            await tx.execute(MAKE_ALERT_DUE, now=clock.now(), school_id=self.school_id)

    async def look(self) -> None:
        while await self._release():
            pass

    async def mails_are_sent(self) -> None:
        """One round of the sender, retries that wait included."""
        await self.mails_are_due()
        await self.sender.send_due()

    async def mails_are_due(self) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(MAKE_MAIL_DUE, now=clock.now(), school_id=self.school_id)

    async def notified(self) -> list[Notified]:
        return await self.database.reader(school_id=self.school_id).all(Notified, NOTIFIED, school_id=self.school_id)

    async def told(self) -> list[tuple[UUID, str]]:
        return [(each.recipient_person_id, each.category) for each in await self.notified()]

    async def deliveries(self) -> list[Sent]:
        return await self.database.reader(school_id=self.school_id).all(Sent, SENT, school_id=self.school_id)

    async def state(self, student_id: UUID, day: date | None = None) -> str | None:
        return await self.database.reader(school_id=self.school_id).value(
            str, STATE, school_id=self.school_id, student_id=student_id, day=day or self.today
        )


def guardian(recipient_id: UUID, *student_ids: UUID) -> AnnouncementRecipient:
    return AnnouncementRecipient(recipient_id=recipient_id, role="guardian", student_ids=list(student_ids))


def somebody(recipient_id: UUID, role: Any = "teacher") -> AnnouncementRecipient:
    return AnnouncementRecipient(recipient_id=recipient_id, role=role, student_ids=[])


def announcement(announcement_id: UUID, *recipients: AnnouncementRecipient, **fields: Any) -> AnnouncementSent:
    sent: dict[str, Any] = {
        "announcement_id": announcement_id,
        "edition": 1,
        "part": 1,
        "title": "School trip",
        "body": "We go to the sea.",
        "is_urgent": False,
        "recipients": list(recipients),
        "sent_by": new_id(),
        "sent_at": clock.now(),
        **fields,
    }
    return AnnouncementSent(**sent)


def changed(announcement_id: UUID, **fields: Any) -> AnnouncementChanged:
    """As `announcement` was sent, unless told otherwise."""
    change: dict[str, Any] = {
        "announcement_id": announcement_id,
        "edition": 1,
        "title": "School trip",
        "body": "We go to the sea.",
        "expires_at": None,
        "is_withdrawn": False,
        **fields,
    }
    return AnnouncementChanged(**change)


async def a_school(
    worker: Worker, settings: Settings, database: Database, announcer: Announcer, *, grace_period_minutes: int = 10
) -> School:
    school = School(worker, settings, database, announcer)
    await school.is_set(grace_period_minutes=grace_period_minutes)
    return school


def days_ago(school: School, days: int) -> date:
    return school.today - timedelta(days=days)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
