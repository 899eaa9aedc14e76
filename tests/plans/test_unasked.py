"""What changes something, or is done unasked, reads no more than it needs either (bar B31)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

import psycopg
import pytest

from services.academic.attendance import actions as attendance
from services.academic.day_plans import actions as day_plans
from services.academic.missing_registers import actions as missing_registers
from services.auth.keys.actions import keep_keys
from services.auth.kit import Kit
from services.auth.passwords.hashing import HASHER
from services.communication.announcements.sending import send_due
from services.communication.files import queries as files
from services.notification.alerts.actions import release_due
from services.notification.alerts.telling import Teller
from services.notification.deliveries import queries as deliveries
from services.notification.digests import queries as digests
from services.notification.digests.schemas import NewDigest, NewItem
from services.notification.inbox.live import Announcer
from shared import clock, relay
from shared.database import Database, switch_school
from shared.identity import Role
from tests.plans.crowded import OURS, PLAN_CACHE_MODES, TODAY, Crowded
from tests.plans.explained import recorded
from tests.plans.fill import CLASS, GUARDIAN, OTHER, STUDENTS, USER, an_id, school_id
from tools.topology import SERVICE_NAMES

pytestmark = [pytest.mark.timeout(600), pytest.mark.parametrize("mode", PLAN_CACHE_MODES)]

Look: TypeAlias = Callable[[Database], Awaitable[bool]]
PASSWORD: Final = "nine lives of a cat"
AUDIENCES: Final = (
    [{"kind": "role", "role": "guardian"}],
    [{"kind": "role", "role": "staff"}, {"kind": "grade", "grade": "3", "who": ["student"]}],
    [{"kind": "class", "class_id": str(an_id(CLASS, OURS, 1)), "who": ["guardian", "teacher"]}],
    [{"kind": "absent_today", "who": ["guardian"]}],
    [{"kind": "person", "person_id": str(an_id(GUARDIAN, OURS, 1))}],
)


@pytest.fixture
async def can_sign_in(crowded: Crowded) -> None:
    """The first guardian has a password, and there is a key to sign with."""
    settings = crowded.settings("auth")
    kit = Kit(settings)
    async with crowded.database("auth", "auto") as database:
        await keep_keys(database, kit)
    await kit.close()
    with psycopg.connect(crowded.admin_url) as connection:
        connection.execute(
            "UPDATE auth.account SET password_hash = %s WHERE user_id = %s",
            [HASHER.hash(PASSWORD), an_id(USER, OURS, 1)],
        )


@pytest.mark.usefixtures("can_sign_in")
async def test_coming_in_reads_one_login(crowded: Crowded, mode: str) -> None:
    given = {"email": f"guardian1@s{OURS}.test", "password": PASSWORD}
    me = crowded.headers(Role.GUARDIAN, sid=str(an_id(OTHER, OURS, 1)))
    async with crowded.client("auth", mode) as client:
        with recorded() as plans:
            came = await client.post("/api/v1/auth/sign-in", json=given)
            assert came.status_code == 200, came.text
            again = await client.post("/api/v1/auth/refresh", json={"refresh_token": came.json()["refresh_token"]})
            seen = await client.get("/api/v1/auth/me", headers=me)

    assert (again.status_code, seen.status_code) == (200, 200), (again.text, seen.text)
    assert crowded.faults("auth", plans, told=["FROM account", "FROM refresh_token", "FROM session"]) == []


@pytest.mark.parametrize("include", AUDIENCES, ids=[str(each[0]["kind"]) for each in AUDIENCES])
async def test_an_audience_is_found_in_its_own_school(crowded: Crowded, include: list[object], mode: str) -> None:
    headers = crowded.headers(Role.SCHOOL_ADMIN)
    async with crowded.client("communication", mode) as client:
        with recorded() as plans:
            answer = await client.post(
                "/api/v1/announcements/preview", headers=headers, json={"audience": {"include": include}}
            )

    assert answer.status_code == 200, answer.text
    assert answer.json()["recipients"] > 0
    # It looks at everybody of the school, once: who is meant is not known before.
    assert crowded.faults("communication", plans, told=["FROM recipient"], walks=True) == []


async def test_an_announcement_goes_out_by_the_indexes(crowded: Crowded, mode: str) -> None:
    headers = crowded.headers(Role.SCHOOL_ADMIN)
    text = {"title": "Open day", "body": "Come and see us.", "audience": {"include": AUDIENCES[0]}}
    async with crowded.client("communication", mode) as client, crowded.database("communication", mode) as database:
        with recorded() as plans:
            draft = (await client.post("/api/v1/announcements", headers=headers, json=text)).json()
            path = f"/api/v1/announcements/{draft['announcement_id']}"
            answer = await client.post(f"{path}/send", headers=headers, json={"version": draft["version"]})
            while await send_due(database):
                pass
        sent = await client.get(f"{path}/receipts", headers=headers)

    assert answer.status_code == 200, answer.text
    assert sent.json()["recipients"] == STUDENTS, sent.text
    told = ["FROM announcement_due", "INSERT INTO announcement_recipient", "FROM announcement_recipient"]
    assert crowded.faults("communication", plans, told=told, walks=True) == []


async def test_what_is_due_is_found_without_what_is_not(crowded: Crowded, mode: str) -> None:
    now = clock.now()
    with recorded() as plans:
        async with crowded.undone("communication", mode) as tx:
            assert len(await files.claim_due_files(tx, now=now, limit=10)) == 10

    assert crowded.faults("communication", plans, told=["FROM file_due"]) == []


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (missing_registers.look_at_next_school, ["_watch", "FROM lesson", "FROM register_notice"]),
        (day_plans.look_at_next_school, ["_watch", "FROM lesson"]),
    ],
)
async def test_a_school_is_looked_at_by_itself(crowded: Crowded, look: Look, told: list[str], mode: str) -> None:
    async with crowded.database("academic", mode) as database:
        with recorded() as plans:
            assert await look(database)

    # Most lessons of a day are taken, and each is looked at to see it.
    assert crowded.faults("academic", plans, told=told, walks=True) == []


async def test_a_trip_that_is_entered_late_judges_its_grade_alone(crowded: Crowded, mode: str) -> None:
    school = school_id(OURS)
    with recorded() as plans:
        async with crowded.undone("academic", mode, school_id=school) as tx:
            yesterday = TODAY - timedelta(days=1)
            await attendance.derive_days_of_grades(tx, school, ["3"], yesterday, now=clock.now())

    told = ["INSERT INTO attendance_day", "SELECT DISTINCT ON (student.id)", "AS is_explained", "UPDATE attendance_day"]
    # Who is of a grade is found by looking at everybody of the school.
    assert crowded.faults("academic", plans, told=told, walks=True) == []


async def test_alerts_that_are_due_are_told_by_the_indexes(crowded: Crowded, mode: str) -> None:
    settings = crowded.settings("notification")
    announcer = Announcer(settings.redis_url)
    async with crowded.database("notification", mode) as database:
        with recorded() as plans:
            # As many as one transaction takes; the other half is left for the other mode.
            assert await release_due(database, Teller(announcer, settings.public_url), settings)
    await announcer.close()

    told = ["FROM alert_due", "FROM absence_alert", "JOIN guardian_link", "INSERT INTO notification"]
    assert crowded.faults("notification", plans, told=told) == []


async def test_a_mail_that_is_due_is_taken_by_the_indexes(crowded: Crowded, mode: str) -> None:
    now = clock.now()
    with recorded() as plans:
        async with crowded.undone("notification", mode) as tx:
            due = await deliveries.claim_due_delivery(tx, now=now, leased_until=now + timedelta(seconds=30))
            assert due is not None
            await switch_school(tx, due.school_id)
            await deliveries.locked_attempt(tx, due.school_id, due.delivery_id)
            await deliveries.follow_in_queue(tx, due.school_id, due.delivery_id)

    assert crowded.faults("notification", plans, told=["UPDATE delivery_due", "FROM delivery"]) == []


async def test_a_digest_is_put_together_by_the_indexes(crowded: Crowded, mode: str) -> None:
    school, recipient = school_id(OURS), an_id(GUARDIAN, OURS, 1)
    known = NewDigest(recipient_id=recipient, day=TODAY - timedelta(days=1), delivery_id=an_id(OTHER, OURS, 101))
    item = NewItem(recipient_id=recipient, day=known.day, notification_id=an_id(OTHER, OURS, 102))
    with recorded() as plans:
        async with crowded.undone("notification", mode, school_id=school) as tx:
            assert await digests.open_digests(tx, school, [known]) == set()
            await digests.still_open(tx, school, [known])
            await digests.add_items(tx, school, [item])
            assert await digests.items(tx, school, known.delivery_id, now=clock.now())

    told = ["INSERT INTO digest", "JOIN digest", "FROM digest"]
    assert crowded.faults("notification", plans, told=told) == []


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_the_relay_reads_what_waits_and_not_what_was_told(crowded: Crowded, service: str, mode: str) -> None:
    with recorded() as plans:
        async with crowded.undone(service, mode) as tx:
            rows = await tx.all(relay.OutboxRow, relay.CLAIM, limit=relay.BATCH)
            assert rows
            await tx.execute(relay.MARK, ids=[row.id for row in rows])
            await tx.value(float, relay.AGE)

    assert crowded.faults(service, plans, told=["SELECT id, type, payload", "UPDATE outbox", "min(created_at)"]) == []


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_what_is_forgotten_is_found_without_what_is_kept(crowded: Crowded, service: str, mode: str) -> None:
    with recorded() as plans:
        async with crowded.undone(service, mode) as tx:
            # The last time there is nothing left to forget, as in most minutes.
            forgotten = [await tx.execute(relay.PRUNE_OUTBOX) + await tx.execute(relay.PRUNE_INBOX) for _ in range(7)]

    assert forgotten[0] == 2000
    assert forgotten[-1] == 0
    assert crowded.faults(service, plans, told=["DELETE FROM outbox", "DELETE FROM inbox"]) == []
