"""docker-compose.yml says what tools/topology.py says, starts every app with settings it understands, and is tight."""

import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy import compose as of_apps
from tests.deploy import compose_edge, manifests, servers
from tests.deploy.compose_file import COMPOSE, GATEWAYS, Compose
from tests.deploy.compose_mistakes import MISTAKES as MISTAKES_IN_APPS
from tests.deploy.compose_mistakes_around import MISTAKES as MISTAKES_AROUND
from tests.deploy.manifests import ROOT, Complaints, copy_of
from tools.topology import GATEWAY

CHECKS = [*of_apps.CHECKS, *compose_edge.CHECKS, *servers.CHECKS]
MISTAKES = {**MISTAKES_IN_APPS, **MISTAKES_AROUND}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return manifests.make_secrets(tmp_path_factory.mktemp("secrets") / "secrets.env")


@pytest.fixture
def compose(secrets: dict[str, str]) -> Compose:
    return Compose(COMPOSE.read_text(), secrets)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_compose_file(compose: Compose, check: Callable[[Compose], Complaints]) -> None:
    assert list(check(compose)) == []


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_control_a_mistake_is_found(compose: Compose, mistake: str) -> None:
    change, check = MISTAKES[mistake]
    compose.raw = copy_of(compose.raw)
    change(compose.services)

    assert list(check(compose)), f"{check.__name__} does not find it"


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "secrets.env"
    first = manifests.make_secrets(target)
    target.write_text(target.read_text().replace(f"SEAL_KEY={first['SEAL_KEY']}\n", "SEAL_KEY=\nOWN=kept\n"))

    second = manifests.make_secrets(target)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {name for name in first if second[name] != first[name]} == {"SEAL_KEY"}
    assert second["OWN"] == "kept"
    made = [value for value in first.values() if value]
    assert len(set(made)) == len(made)


def test_every_secret_is_used_and_every_variable_is_made(secrets: dict[str, str]) -> None:
    named = set(re.findall(r"\$\{([A-Z0-9_]+)(?::\?[^}]*)?\}", COMPOSE.read_text()))
    in_a_cluster = {
        key for path in (ROOT / "k8s").rglob("*.yaml") for key in re.findall(r"key: ([A-Z0-9_]+)", path.read_text())
    }

    assert named <= secrets.keys() <= named | in_a_cluster


def test_git_takes_no_secrets_file() -> None:
    asked = subprocess.run(["git", "check-ignore", "deploy/secrets.env"], cwd=ROOT, check=False, capture_output=True)

    assert asked.returncode == 0


def test_the_gateways_are_all_the_gateways(compose: Compose) -> None:
    """What each admits by itself while Redis is down, and what nginx knows of, go by their number."""
    found = [name for name, service in compose.services.items() if service["image"] == f"homeroom-{GATEWAY.name}"]

    assert tuple(sorted(found)) == GATEWAYS
    assert {compose.env(name)["REPLICAS"] for name in found} == {str(len(found))}
