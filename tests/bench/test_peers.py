"""Contenders are compared only when they do the same work."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from bench.peers import Contender, ensure_same, students, whole
from tools.embedded.processes import PartFailed

ADA = '{"id": "1", "given_name": "Ada", "family_name": "Ash", "email": null, "grade": "3"}'
BEN = ADA.replace("1", "2").replace("Ada", "Ben")


@contextmanager
def contenders(*bodies: str, status: int = 200) -> Generator[list[Contender]]:
    """One for each body, which it gives to everybody."""
    with ExitStack() as running:
        yield [running.enter_context(contender(number, body, status)) for number, body in enumerate(bodies)]


@contextmanager
def contender(number: int, body: str, status: int) -> Generator[Contender]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Contender(name=str(number), url=f"http://127.0.0.1:{server.server_port}/", pid=0, token="token")
        server.shutdown()


def listed(*students: str, more: str = "") -> str:
    return f'{{"items": [{", ".join(students)}]{more}}}'


def test_lists_of_the_same_students_may_differ_in_what_is_around_them() -> None:
    richer = ADA.replace("}", ', "pronouns": "she"}')
    with contenders(listed(ADA, BEN), listed(richer, BEN, more=', "next": null')) as both:
        ensure_same(both, students)


@pytest.mark.parametrize("other", [listed(ADA), listed(BEN, ADA), listed(ADA, BEN.replace("Ben", "Bea"))])
def test_another_list_is_no_comparison(other: str) -> None:
    with contenders(listed(ADA, BEN), other) as both, pytest.raises(PartFailed, match="do not answer alike"):
        ensure_same(both, students)


def test_nothing_at_all_is_no_comparison() -> None:
    with contenders(listed(), listed()) as both, pytest.raises(PartFailed, match="do not answer alike"):
        ensure_same(both, students)


def test_gateways_hand_on_every_byte() -> None:
    with contenders("{}", "{}") as both:
        ensure_same(both, whole)
    with contenders("{}", "{} ") as both, pytest.raises(PartFailed, match="do not answer alike"):
        ensure_same(both, whole)


def test_a_refusal_is_no_answer() -> None:
    with contenders("{}", "{}", status=401) as both, pytest.raises(PartFailed, match="answered 401"):
        ensure_same(both, whole)
