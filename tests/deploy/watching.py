"""The real Prometheus and Alertmanager with the house's own files; addresses, folders and waits are put in."""

import os
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.deploy.manifests import ROOT
from tools.embedded.mail_sink import EmbeddedMailSink
from tools.embedded.processes import Process, Server, free_port
from tools.front_end import Mailbox

DEPLOY: Final = ROOT / "deploy"
ALERTMANAGER_YML: Final = (DEPLOY / "alertmanager/alertmanager.yml").read_text()
PROMETHEUS_YML: Final = (DEPLOY / "prometheus/prometheus.yml").read_text()
RULES_YML: Final = (DEPLOY / "prometheus/rules/homeroom.yml").read_text()
DOWN: Final = "gateway-1:8000"
"""The part that does not answer; Prometheus itself stands for all others."""


def program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or name


def put_in(text: str, pattern: str, value: str) -> str:
    """The text with `value` wherever the pattern matches, which it must."""
    text, found = re.subn(pattern, value, text)
    assert found, pattern
    return text


class Alertmanager(Server):
    def __init__(self, directory: Path, text: str, *, mail_port: int) -> None:
        self.port = free_port()
        text = put_in(text, "mail:1025", f"127.0.0.1:{mail_port}")
        text = put_in(text, r"group_(wait|interval): \w+", r"group_\1: 1s")
        configuration = directory / "alertmanager.yml"
        configuration.write_text(text)
        self.process = Process(
            "alertmanager",
            [
                program("prometheus-alertmanager"),
                f"--config.file={configuration}",
                f"--storage.path={directory / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address=",
            ],
            log=directory / "alertmanager.log",
        )

    def is_ready(self) -> bool:
        return is_ready(self.port)


class Prometheus(Server):
    def __init__(self, directory: Path, *, down_port: int, alertmanager_port: int) -> None:
        self.port = free_port()
        rules = directory / "rules.yml"
        rules.write_text(put_in(RULES_YML, r"\bfor: \w+", "for: 1s"))
        text = put_in(PROMETHEUS_YML, r"(scrape|evaluation)_(interval|timeout): \w+", r"\1_\2: 1s")
        text = put_in(text, re.escape(DOWN), f"127.0.0.1:{down_port}")
        text = put_in(text, "alertmanager:9093", f"127.0.0.1:{alertmanager_port}")
        text = put_in(text, r"\b[a-z][a-z0-9-]*:\d+", f"127.0.0.1:{self.port}")
        text = put_in(text, re.escape("/etc/prometheus/rules/*.yml"), str(rules))
        configuration = directory / "prometheus.yml"
        configuration.write_text(text)
        self.process = Process(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={directory / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            log=directory / "prometheus.log",
        )

    def is_ready(self) -> bool:
        return is_ready(self.port)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def watching(directory: Path, *, down_port: int, alertmanager: str = ALERTMANAGER_YML) -> Generator[Mailbox]:
    """The mails of a watch over a house in which one part does not answer."""
    mails = EmbeddedMailSink(directory / "mails")
    manager = Alertmanager(directory, alertmanager, mail_port=mails.port)
    prometheus = Prometheus(directory, down_port=down_port, alertmanager_port=manager.port)
    with ExitStack() as running:
        for server in (mails, manager, prometheus):
            running.callback(server.stop)
            server.start()
        yield Mailbox(mails.directory)


def complaint(*command: str) -> str:
    """What one of their own programs has to say against a file; nothing when it is as it should be."""
    ended = subprocess.run([program(command[0]), *command[1:]], check=False, capture_output=True, text=True)
    return ended.stdout + ended.stderr if ended.returncode else ""
