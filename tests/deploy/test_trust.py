"""A managed Postgres behind TLS, as overlays/production connects to it with the psycopg of the lock."""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.deploy.authority import Authority
from tests.deploy.kustomize import build
from tests.deploy.manifests import ROOT

LET_IN = "TLS was accepted"
CONNECT = "import psycopg, sys\ntry: psycopg.connect(sys.argv[1])\nexcept psycopg.Error as error: print(error)"


class TlsPostgres:
    """Says yes to TLS, shows its certificate, and refuses everybody who took it."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.set_alpn_protocols(["postgresql"])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        assert len(connection.recv(8)) == 8  # SSLRequest
        connection.sendall(b"S")
        with self._context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)
            told = f"SFATAL\0C28000\0M{LET_IN}\0\0".encode()
            secured.sendall(b"E" + (len(told) + 4).to_bytes(4, "big") + told)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "theirs")


@pytest.fixture
def postgres(authority: Authority) -> Generator[TlsPostgres]:
    server = TlsPostgres(authority.served)
    yield server
    server.close()


def said(port: int, **env: str) -> str:
    """What psycopg says of the server, asked as production asks, in a process that has only `env`."""
    overlay = build(ROOT / "k8s/overlays/production")
    options = next(each["data"]["POSTGRES_OPTIONS"] for each in overlay if each["metadata"]["name"] == "postgres")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SSL_CERT_", "PG"))}
    command = [sys.executable, "-c", CONNECT, f"postgresql://auth_app:a@localhost:{port}/homeroom{options}"]
    ended = subprocess.run(command, env={**inherited, **env}, capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout


def trusting(file: Path) -> dict[str, str]:
    """As the image says it, with another file in the place of the system's."""
    found = re.findall(r"^ENV (SSL_[A-Z_]+)=\S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return dict.fromkeys(found, str(file))


def test_an_image_believes_a_server_whose_ca_it_holds(postgres: TlsPostgres, authority: Authority) -> None:
    assert LET_IN in said(postgres.port, **trusting(authority.file))


def test_an_image_believes_no_other_server(postgres: TlsPostgres, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "a stranger's")

    assert "certificate verify failed" in said(postgres.port, **trusting(stranger.file))


def test_control_without_what_the_image_says_nobody_is_believed(postgres: TlsPostgres) -> None:
    assert "certificate verify failed" in said(postgres.port)
