"""Which service a path belongs to, and which operation it is."""

import pytest

from gateway.breaker import Breaker
from gateway.routes import PREFIXES, Operations, service_of
from tools.topology import CALLS, SERVICE_NAMES

OPERATIONS = Operations(
    {
        "paths": {
            "/api/v1/students": {"get": {}, "post": {}},
            "/api/v1/students/{student_id}": {"get": {}, "parameters": []},
            "/api/v1/students/search": {"post": {}},
            "/api/v1/classes/{class_id}/students/{student_id}": {"put": {}},
        }
    }
)


def test_the_gateway_routes_to_the_services_of_the_topology() -> None:
    asked = {call.callee for call in CALLS if call.caller == "gateway" and call.purpose == "public requests"}

    assert set(PREFIXES) == set(SERVICE_NAMES) == asked


def test_a_prefix_belongs_to_one_service() -> None:
    prefixes = [prefix for each in PREFIXES.values() for prefix in each]

    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/v1/students", "academic"),
        ("/api/v1/students/1/lessons", "academic"),
        ("/api/v1/school", "school"),
        ("/api/v1/schools/1", "school"),
        ("/api/v1/inbox/stream", "notification"),
        ("/.well-known/jwks.json", "auth"),
        ("/.well-known/other", None),
        ("/api/v1/studentsx", None),
        ("/api/v1/internal", None),
        ("/api/v2/students", None),
        ("/internal/students", None),
        ("/students", None),
        ("/", None),
    ],
)
def test_a_path_has_the_service_of_its_prefix(path: str, service: str | None) -> None:
    assert service_of(path) == service


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/api/v1/students", "/api/v1/students"),
        ("GET", "/api/v1/students/7", "/api/v1/students/{student_id}"),
        ("GET", "/api/v1/students/search", "/api/v1/students/{student_id}"),
        ("POST", "/api/v1/students/search", "/api/v1/students/search"),
        ("PUT", "/api/v1/classes/1/students/2", "/api/v1/classes/{class_id}/students/{student_id}"),
        ("DELETE", "/api/v1/students/7", None),
        ("PARAMETERS", "/api/v1/students/7", None),
        ("GET", "/api/v1/students/7/8", None),
        ("GET", "/api/v1/students/", None),
        ("GET", "/api/v1/students/{student_id}", "/api/v1/students/{student_id}"),
        ("GET", "/api/v1", None),
        ("PUT", "/api/v1/classes//students/2", None),
    ],
)
def test_a_segment_in_braces_is_any_one_segment(method: str, path: str, template: str | None) -> None:
    assert OPERATIONS.template_of(method, path) == template


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_circuit_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(failures=3, open_s=2, clock=Clock())

    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    is_open_before = breaker.is_open
    for _ in range(3):
        breaker.failed()

    assert not is_open_before
    assert breaker.is_open
    assert not breaker.admits()
    assert breaker.retry_after_s == 2


def test_an_open_circuit_lets_one_probe_through_and_closes_when_it_succeeds() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, open_s=2, clock=clock)
    breaker.failed()

    clock.now += 2
    probes = [breaker.admits() for _ in range(5)]
    breaker.succeeded()

    assert probes == [True, False, False, False, False]
    assert breaker.admits()


def test_a_failed_probe_keeps_the_circuit_open() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, open_s=2, clock=clock)
    breaker.failed()

    clock.now += 2
    breaker.admits()
    breaker.failed()

    assert not breaker.admits()
    clock.now += 2
    assert breaker.admits()


@pytest.mark.parametrize(
    ("method", "path", "is_marked"),
    [
        ("POST", "/api/v1/auth/sign-in", True),
        ("GET", "/api/v1/auth/sign-in", False),
        ("POST", "/api/v1/auth/sign-in/", False),
        ("POST", "/api/v1/auth/other", False),
        ("POST", "/api/v1/auth/unknown/path", False),
    ],
)
def test_only_what_its_service_marks_takes_credentials(method: str, path: str, is_marked: bool) -> None:
    marked = {"get": {}, "post": {"x-quota": "credentials"}}
    other = {"post": {"x-quota": "another"}}
    operations = Operations({"paths": {"/api/v1/auth/sign-in": marked, "/api/v1/auth/{other}": other}})

    assert operations.takes_credentials(method, path) is is_marked
