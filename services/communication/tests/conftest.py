from collections.abc import AsyncGenerator, Generator

import httpx
import pytest

from services.communication.app import create_app
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from services.communication.tests.announcing import Board
from services.communication.tests.clamd import Clamd
from services.communication.tests.factories import School
from services.communication.tests.files import FileSchool
from services.communication.worker import create_worker
from shared.database import Database
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker
from tools.embedded.object_store import EmbeddedObjectStore


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings(Settings, "communication")


@pytest.fixture
async def worker(settings: Settings) -> AsyncGenerator[Worker]:
    async with Database(settings) as database:
        worker = create_worker(settings, database)
        yield worker
        await worker.bus.close()


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield client


@pytest.fixture
async def school(client: httpx.AsyncClient, worker: Worker, tokens: Tokens) -> School:
    school = School(client, worker, tokens)
    await school.named(version=1)
    return school


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedObjectStore]:
    directory = tmp_path_factory.mktemp("objects")
    store = EmbeddedObjectStore(
        directory, access_key_id="key", secret_access_key="secret", bucket="homeroom", log=directory / "log"
    )
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Generator[Clamd]:
    """For who only asks it; who does something to it has one of their own."""
    server = Clamd(tmp_path_factory.mktemp("clamd"), MaxScanTime="60000")  # on a machine with other work
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(settings: Settings) -> FileStore:
    return FileStore(settings)


@pytest.fixture
def files(client: httpx.AsyncClient, tokens: Tokens) -> FileSchool:
    return FileSchool(client, tokens)


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


@pytest.fixture
def board(school: School, stack: Stack) -> Board:
    return Board(school, stack)
