import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import pytest

from tools.embedded.postgres import UNPRIVILEGED_UID, EmbeddedPostgres, prepare_database
from tools.embedded.processes import PartFailed, wait_until
from tools.topology import DATABASE, SERVICE_NAMES

PASSWORDS = {f"{service}_{role}": f"it's 100% {service}" for service in SERVICE_NAMES for role in ("owner", "app")}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """Below a directory that nobody but us may enter."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    server = EmbeddedPostgres(private / "postgres", durable=False)
    server.start()
    prepare_database(server.admin_url, DATABASE, PASSWORDS)
    yield server
    server.stop()


def run(postgres, role, statement):
    url = postgres.url(role, PASSWORDS[role], DATABASE)
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_root_hands_the_server_to_nobody_and_others_keep_it(postgres):
    expected = UNPRIVILEGED_UID if os.geteuid() == 0 else os.geteuid()

    assert psutil.Process(postgres.process.pid).uids().real == expected


def test_only_the_loopback_interface_is_listened_on(postgres):
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(postgres.process.pid).net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening == ["127.0.0.1"]


def test_a_wrong_password_is_refused(postgres):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url("auth_app", "wrong", DATABASE))


def test_preparing_twice_changes_nothing(postgres):
    prepare_database(postgres.admin_url, DATABASE, PASSWORDS)

    assert run(postgres, "school_app", "SHOW search_path") == ("school, public",)


def test_app_roles_have_time_limits_and_no_powers(postgres):
    powers = """
        SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
               rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication
        FROM pg_roles WHERE rolname = current_user
    """

    assert run(postgres, "auth_app", powers) == ("30s", "1min", False)


@pytest.mark.parametrize("role", ["school_app", "school_owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.intruder (id int)",
        "CREATE TABLE auth.intruder (id int)",
        "SELECT count(*) FROM auth.login",
        "CREATE SCHEMA intruder",
        "CREATE TEMPORARY TABLE intruder (id int)",
    ],
)
def test_a_service_reaches_nothing_outside_its_schema(postgres, role, statement):
    run(postgres, "auth_owner", "CREATE TABLE IF NOT EXISTS login (id int)")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(postgres, role, statement)


def test_an_app_role_makes_no_tables_of_its_own(postgres):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(postgres, "school_app", "CREATE TABLE intruder (id int)")


@pytest.mark.parametrize("extension", ["btree_gist", "pg_trgm", "pg_stat_statements"])
def test_extensions_are_there(postgres, extension):
    found = run(postgres, "auth_app", f"SELECT extname FROM pg_extension WHERE extname = '{extension}'")

    assert found == (extension,)


def test_data_survive_kill_9_and_an_interrupted_making(tmp_path):
    unfinished = tmp_path / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        server.start()
        with psycopg.connect(server.admin_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.kill()
        server.start()
        with psycopg.connect(server.admin_url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        server.stop()


def test_a_start_waits_for_the_children_of_a_server_that_was_killed(tmp_path):
    """A child that sleeps does not notice the death, and its memory keeps the next server out."""
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()
    with contextlib.closing(psycopg.connect(server.admin_url)) as client:
        child = psutil.Process(client.info.backend_pid)
        child.suspend()
        server.process.kill()
        try:
            with once_told(server, "pre-existing shared memory block", child.resume):
                server.start()
        finally:
            server.stop()


def test_a_start_waits_for_a_server_that_stops(tmp_path):
    server, successor = (EmbeddedPostgres(tmp_path / "postgres", durable=False) for _ in range(2))
    server.start()
    try:
        with once_told(successor, 'lock file "postmaster.pid" already exists', server.stop):
            successor.start()
    finally:
        successor.stop()


@contextlib.contextmanager
def once_told(server, words, then):
    """Do `then` as soon as the log has these words; they must come."""

    def wait():
        try:
            wait_until(lambda: words in server.process.log.read_text(), 30, f"{words} in the log")
        finally:
            then()

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait)
        yield
        waiting.result()


def test_a_start_does_not_wait_for_a_server_that_stays(tmp_path):
    server, other = (EmbeddedPostgres(tmp_path / "postgres", durable=False) for _ in range(2))
    other.start_timeout_s = 1
    try:
        server.start()

        with pytest.raises(PartFailed, match=r"postmaster\.pid"):
            other.start()

        assert server.is_ready()
    finally:
        server.stop()


def test_a_directory_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "data").mkdir()
    (tmp_path / "postgres" / "data" / "something").touch()

    with pytest.raises((PartFailed, OSError)) as failure:
        EmbeddedPostgres(tmp_path / "postgres").start()

    assert "postgres/data" in str(failure.value)
