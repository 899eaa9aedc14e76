"""A worker that runs alone can be watched like an API."""

import socket
from pathlib import Path

import httpx

from tests.chaos.harness import python
from tests.deploy.conftest import Alone
from tools.embedded.processes import Process, free_port, is_listening

HOST = "127.0.0.1"
START_S = 60


def worker(alone: Alone, directory: Path, *, verb: str = "worker", **env: str) -> Process:
    variables = {**alone.service_env("communication"), "HOST": HOST, **env}
    return python("worker", "services.communication", verb, log=directory / "worker.log", env=variables)


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://{HOST}:{port}{path}", trust_env=False)


def test_a_lone_worker_tells_its_health_and_metrics(alone: Alone, tmp_path: Path) -> None:
    port = free_port()
    process = worker(alone, tmp_path, WORKER_PORT=str(port))
    process.start()
    try:
        process.wait_ready(lambda: is_listening(port) and get(port, "/health/ready").is_success, START_S)

        assert get(port, "/health/live").json() == {"status": "live"}
        assert get(port, "/health/ready").json() == {"database": True}
        metrics = get(port, "/metrics").text
        assert "homeroom_outbox_age_seconds" in metrics
        assert 'homeroom_database_connections{pool="worker",state="max"} 3.0' in metrics
        assert {get(port, path).status_code for path in ("/openapi.json", "/api/v1/contacts", "/")} == {404}
    finally:
        process.request_stop()
        assert process.wait(10) == 0
    assert not is_listening(port)


def test_without_a_database_a_worker_is_alive_but_not_ready(alone: Alone, tmp_path: Path) -> None:
    port = free_port()
    nowhere = f"postgresql://nobody:x@{HOST}:{free_port()}/homeroom"
    process = worker(alone, tmp_path, WORKER_PORT=str(port), DATABASE_URL=nowhere)
    process.start()
    try:
        process.wait_ready(lambda: is_listening(port), START_S)

        assert get(port, "/health/live").status_code == 200
        assert httpx.get(f"http://{HOST}:{port}/health/ready", trust_env=False, timeout=20).status_code == 503
    finally:
        process.stop()


def test_a_worker_beside_its_api_opens_no_port_of_its_own(alone: Alone, tmp_path: Path) -> None:
    port, api_port = free_port(), free_port()
    process = worker(alone, tmp_path, verb="serve", WORKER_PORT=str(port), PORT=str(api_port))
    process.start()
    try:
        process.wait_ready(lambda: is_listening(api_port), START_S)

        assert not is_listening(port)
    finally:
        process.stop()


def test_a_port_that_is_taken_ends_the_start(alone: Alone, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        process = worker(alone, tmp_path, WORKER_PORT=str(other.getsockname()[1]))
        process.start()
        try:
            assert process.wait(START_S) not in {0, None}
        finally:
            process.stop()
