"""The mail server's password: from the Secret, by the overlay, over TLS to a server that asks for it."""

import ssl
from collections.abc import Generator, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from services.notification.deliveries.smtp import Smtp
from services.notification.settings import Settings
from shared.settings import load
from tests.deploy.authority import Authority
from tests.deploy.cluster import DEPLOYMENTS, OVERLAYS, Cluster, pod_of
from tests.deploy.kustomize import build
from tests.deploy.manifests import ROOT, make_secrets
from tools.embedded.processes import free_port

USER, PASSWORD = b"homeroom@school.example", b"p@ss/1: 100%"
ENCODED = {"SMTP_USER": "homeroom%40school.example", "SMTP_PASSWORD": "p%40ss%2F1%3A%20100%25"}
MAILERS = [name for name, (app, _) in DEPLOYMENTS.items() if app == "notification"]


class Asking:
    """Takes mails from whoever knows the password, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, bytes]] = []
        self.mails = 0

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.told.append((data.login, data.password))
        return AuthResult(success=(data.login, data.password) == (USER, PASSWORD))

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        self.mails += 1
        return "250 OK"


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Asking, int]]:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.served)
    handler, port = Asking(), free_port()
    controller = Controller(
        handler, hostname="127.0.0.1", port=port, authenticator=handler.authenticate, tls_context=context
    )
    controller.start()
    yield handler, port
    controller.stop()


def urls(overlay: str, secrets: Mapping[str, str]) -> list[str]:
    cluster = Cluster(build(ROOT / "k8s/overlays" / overlay), secrets, overlay)
    return [load(Settings, cluster.settings_env(pod_of(cluster, name))).smtp_url for name in MAILERS]


async def sent(url: str) -> str:
    message = EmailMessage()
    message["Subject"] = "Hello"
    smtp = Smtp(url, timeout_s=20)
    try:
        return (await smtp.send(message, sender="a@school.example", recipient="b@school.example")).kind
    finally:
        await smtp.close()


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    return make_secrets(tmp_path / "secrets.env")


async def test_a_password_of_the_secret_reaches_the_server(secrets: dict[str, str], asking: tuple[Asking, int]) -> None:
    server, port = asking
    found = urls("production", secrets | ENCODED)

    assert found == ["smtps://homeroom%40school.example:p%40ss%2F1%3A%20100%25@smtp.homeroom.example:465"] * 2
    here = found[0].replace("smtps://", "smtp://").replace("smtp.homeroom.example:465", f"localhost:{port}")
    assert await sent(here) == "accepted"
    assert server.told == [(USER, PASSWORD)]


async def test_control_another_password_is_refused(secrets: dict[str, str], asking: tuple[Asking, int]) -> None:
    server, port = asking
    url = urls("local", secrets | ENCODED | {"SMTP_PASSWORD": "another"})[0].replace("mail:1025", f"localhost:{port}")

    assert await sent(url) == "refused_for_now"
    assert server.told == [(USER, b"another")]
    assert not server.mails


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_a_server_that_asks_for_none_is_told_none(overlay: str, secrets: dict[str, str]) -> None:
    handler, port = Asking(), free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = urls(overlay, secrets)[0].replace("smtps://", "smtp://")
        assert await sent(url[: url.index("@") + 1] + f"127.0.0.1:{port}") == "accepted"
    finally:
        controller.stop()
    assert handler.told == []
