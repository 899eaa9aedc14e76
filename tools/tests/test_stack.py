import socket

import psutil
import psycopg
import pytest

from tools import stack as stack_module
from tools.embedded.processes import PartFailed, wait_until
from tools.environment import Secrets, load_or_make_secrets
from tools.stack import Stack
from tools.topology import SERVICE_NAMES, SERVICES


class BackingServers(Stack):
    """The stack below our own processes."""

    def _start_own(self) -> None:
        pass


class FailingService(Stack):
    """One of our own processes ends as soon as it is started."""

    def service_env(self, service: str) -> dict[str, str]:
        return {**super().service_env(service), "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}


def processes_below(stack: Stack) -> set[psutil.Process]:
    return {process for part in stack.parts.values() for process in tree_of(part.process.pid)}


def tree_of(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_everything_is_stopped_at_the_end(tmp_path):
    with BackingServers(tmp_path, bus="valkey") as stack:
        running = processes_below(stack)

    assert len(running) >= 4
    wait_until(lambda: not any(process.is_running() for process in running), 30, "all to be gone")


def test_a_second_start_finds_the_data(tmp_path):
    with (
        BackingServers(tmp_path, bus="valkey") as stack,
        psycopg.connect(stack.database_url("auth_owner")) as connection,
    ):
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    first = stack.secrets

    with (
        BackingServers(tmp_path, bus="valkey") as stack,
        psycopg.connect(stack.database_url("auth_owner")) as connection,
    ):
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert stack.secrets == first


def test_a_second_stack_on_the_same_directory_is_refused_and_the_first_goes_on(tmp_path):
    with BackingServers(tmp_path, bus="valkey") as stack:
        with pytest.raises(PartFailed, match=rf"^Homeroom runs already from {tmp_path}; stop it first\.$"):
            BackingServers(tmp_path, bus="valkey").start()

        stack.watch()


@pytest.mark.parametrize("part", ["postgres", "valkey", "object-store", "mail"])
def test_the_death_of_a_part_is_told_in_one_sentence(tmp_path, part):
    with BackingServers(tmp_path, bus="valkey") as stack:
        stack.kill(part)
        with pytest.raises(PartFailed, match=rf"was ended by SIGKILL; the last line of .*/{part}\.log is: "):
            stack.watch()


def test_a_killed_part_can_be_started_again(tmp_path):
    with BackingServers(tmp_path, bus="valkey") as stack:
        stack.kill("valkey")
        stack.start_part("valkey")

        stack.watch()


def test_a_service_that_does_not_start_is_told_and_nothing_is_left_running(tmp_path):
    stack = FailingService(tmp_path, bus="valkey")

    with pytest.raises(PartFailed, match=r"^auth ended with exit code 1; the last line of .*auth\.log is: .+"):
        stack.start()

    assert not any(part.process.is_running for part in stack.parts.values())
    assert len(stack.parts) == 4 + len(SERVICE_NAMES) + 1


def test_a_taken_port_is_told_before_anything_starts(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(stack_module, "SERVICES", [service_on(port)])
        stack = BackingServers(tmp_path, fixed_ports=True)

        with pytest.raises(
            PartFailed, match=rf"^Port {port}, where auth answers, cannot be used: Address already in use"
        ):
            stack.start()

    assert stack.parts == {}


def service_on(port: int):
    return type(SERVICES[0])(name="auth", port=port)


def test_rabbitmq_is_chosen_only_where_it_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_module.rabbitmq, "is_installed", lambda: False)

    with BackingServers(tmp_path, bus="auto") as stack:
        assert stack.addresses.bus_url.startswith("valkey://")
    with pytest.raises(PartFailed, match="RabbitMQ is not installed"):
        BackingServers(tmp_path, bus="amqp").start()


def test_a_bus_that_runs_elsewhere_is_used(tmp_path):
    with BackingServers(tmp_path, bus="amqp://user@bus.test/") as stack:
        assert stack.addresses.bus_url == "amqp://user@bus.test/"
        assert "rabbitmq" not in stack.parts


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path):
    made = load_or_make_secrets(tmp_path / "secrets.json")

    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert load_or_make_secrets(tmp_path / "secrets.json") == made
    assert len(set(made.database.values())) == 2 * len(SERVICE_NAMES)


def test_secrets_of_another_version_are_told(tmp_path):
    (tmp_path / "secrets.json").write_text("{}")

    with pytest.raises(PartFailed, match="`make clean` removes it"):
        load_or_make_secrets(tmp_path / "secrets.json")


def test_each_service_learns_its_own_secrets_only(tmp_path):
    with BackingServers(tmp_path, bus="valkey") as stack:
        env = " ".join(stack.service_env("school").values())

    assert stack.secrets.database["school_app"] in env
    assert not any(secret in env for secret in secrets_of_others(stack.secrets, "school"))


def secrets_of_others(secrets: Secrets, service: str) -> list[str]:
    others = [name for name in SERVICE_NAMES if name != service]
    return [
        *(secrets.services[name] for name in others),
        *(secrets.database[f"{name}_{role}"] for name in others for role in ("owner", "app")),
        secrets.seal_key,
        secrets.signing_key_secret,
        secrets.s3_secret_access_key,
        secrets.bootstrap_password,
    ]
