from collections.abc import AsyncGenerator
from datetime import datetime

import httpx
import pytest

from services.notification.app import create_app
from services.notification.inbox.live import Announcer
from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school
from services.notification.tests.mail_server import MailServer
from services.notification.tests.seen import Seen
from services.notification.tests.wishes import Clock
from services.notification.worker import create_worker
from shared import clock
from shared.database import Database
from shared.seal import Seal
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker


@pytest.fixture
async def mail_server() -> AsyncGenerator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
def settings(stack: Stack, mail_server: MailServer) -> Settings:
    return stack.settings(
        Settings,
        "notification",
        smtp_url=mail_server.url,
        smtp_timeout_s=20.0,
        mail_retry_base_s=10,
        mail_attempts=3,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


@pytest.fixture
async def _empty_queues(database: Database) -> None:
    """What other tests left behind is nobody's business here."""
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM delivery_due")
        await tx.execute("DELETE FROM alert_due")


@pytest.fixture
async def announcer(settings: Settings) -> AsyncGenerator[Announcer]:
    announcer = Announcer(settings.redis_url)
    yield announcer
    await announcer.close()


@pytest.fixture
async def worker(settings: Settings, database: Database, announcer: Announcer) -> AsyncGenerator[Worker]:
    worker = create_worker(settings, database, announcer)
    yield worker
    await worker.bus.close()


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield client


@pytest.fixture
async def school(
    worker: Worker, settings: Settings, database: Database, announcer: Announcer, _empty_queues: None
) -> School:
    return await a_school(worker, settings, database, announcer)


@pytest.fixture
def seal(settings: Settings) -> Seal:
    """As `auth` closes it."""
    return Seal(settings.seal_key)


@pytest.fixture
def seen(client: httpx.AsyncClient, tokens: Tokens, school: School) -> Seen:
    return Seen(client, tokens, school)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    told = Clock(datetime.fromisoformat("2026-06-10T10:00:00-04:00"))
    monkeypatch.setattr(clock, "now", told.now)
    return told
