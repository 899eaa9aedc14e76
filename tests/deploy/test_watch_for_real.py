"""A part that does not answer wakes somebody: Prometheus finds it, Alertmanager tells of it, a mail arrives."""

import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.deploy.watching import ALERTMANAGER_YML, DEPLOY, complaint, put_in, watching
from tools.embedded.processes import free_port
from tools.front_end import Mailbox, wait_for

PAGE, TICKET, WATCHDOG = (f"{name}@homeroom.example" for name in ("page", "ticket", "watchdog"))


class Up(http.server.BaseHTTPRequestHandler):
    """What is up and tells nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def up(port: int) -> Generator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Up) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield
        server.shutdown()
        serving.join()


def said(mail: EmailMessage) -> str:
    """Its subject and what there is to read; Alertmanager writes HTML."""
    body = mail.get_body(("plain", "html"))
    assert body is not None
    return f"{mail['Subject']} {body.get_content()}"


def mails_about(mailbox: Mailbox, address: str, *words: str) -> list[EmailMessage]:
    """Those that say all of it."""
    return [mail for mail in mailbox.mails_to(address) if all(word in said(mail) for word in words)]


def test_a_part_that_is_down_wakes_somebody_and_they_hear_when_it_is_up(tmp_path: Path) -> None:
    down = free_port()
    with watching(tmp_path, down_port=down) as mailbox:
        told = wait_for(lambda: mails_about(mailbox, PAGE, "FIRING", "PartIsDown"), "the page", timeout_s=90)
        wait_for(lambda: mails_about(mailbox, WATCHDOG, "Watchdog"), "the watchdog", timeout_s=90)
        with up(down):
            wait_for(lambda: mails_about(mailbox, PAGE, "RESOLVED", "PartIsDown"), "that it is up", timeout_s=90)
        others = mailbox.mails_to(TICKET)

    assert f"127.0.0.1:{down} does not answer." in said(told[0])
    assert others == []


def test_control_a_page_without_its_route_waits_for_the_morning(tmp_path: Path) -> None:
    unrouted = put_in(ALERTMANAGER_YML, 'severity="page"', 'severity="paged"')
    with watching(tmp_path, down_port=free_port(), alertmanager=unrouted) as mailbox:
        wait_for(lambda: mails_about(mailbox, TICKET, "PartIsDown"), "the ticket", timeout_s=90)

        assert mails_about(mailbox, PAGE) == []


@pytest.mark.parametrize(
    "command",
    [
        ("amtool", "check-config", f"{DEPLOY}/alertmanager/alertmanager.yml"),
        ("promtool", "check", "rules", f"{DEPLOY}/prometheus/rules/homeroom.yml"),
        ("promtool", "check", "config", "--syntax-only", f"{DEPLOY}/prometheus/prometheus.yml"),
    ],
    ids=lambda command: command[-1].rpartition("/")[2],
)
def test_their_own_programs_take_the_files(command: tuple[str, ...]) -> None:
    assert complaint(*command) == ""


@pytest.mark.parametrize(
    ("check", "name", "pattern"),
    [
        (("amtool", "check-config"), "alertmanager/alertmanager.yml", "receiver: page"),
        (("promtool", "check", "rules"), "prometheus/rules/homeroom.yml", "expr: count"),
        (("promtool", "check", "config", "--syntax-only"), "prometheus/prometheus.yml", "job_name: api"),
    ],
    ids=["alertmanager", "rules", "prometheus"],
)
def test_control_a_misspelt_field_is_found(tmp_path: Path, check: tuple[str, ...], name: str, pattern: str) -> None:
    misspelt = tmp_path / "misspelt.yml"
    misspelt.write_text(put_in((DEPLOY / name).read_text(), pattern, f"x{pattern}"))

    assert complaint(*check, str(misspelt))
