"""k8s/ says what tools/topology.py says: valid to the letter, tight, and open along the known edges only."""

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.deploy import manifests
from tests.deploy.cluster import DEPLOYMENTS, NAME, OVERLAYS, PHASE, Cluster
from tests.deploy.kubernetes import CHECKS
from tests.deploy.kubernetes_mistakes import MISTAKES as MISTAKES_IN_PODS
from tests.deploy.kubernetes_mistakes_elsewhere import LOCAL, PRODUCTION
from tests.deploy.kubernetes_mistakes_network import MISTAKES as MISTAKES_IN_EDGES
from tests.deploy.kustomize import Resource, build, image_name
from tests.deploy.manifests import APPS, ROOT, Complaints, copy_of
from tools.topology import SERVICE_NAMES


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return manifests.make_secrets(tmp_path_factory.mktemp("secrets") / "secrets.env")


MISTAKES = {**MISTAKES_IN_PODS, **MISTAKES_IN_EDGES}


@cache
def _built(overlay: str) -> list[Resource]:
    return build(ROOT / "k8s/overlays" / overlay)


@pytest.fixture(scope="module", params=OVERLAYS)
def built(request: pytest.FixtureRequest) -> tuple[str, list[Resource]]:
    return request.param, _built(request.param)


@pytest.fixture
def cluster(built: tuple[str, list[Resource]], secrets: dict[str, str]) -> Cluster:
    return Cluster(copy_of(built[1]), secrets, built[0])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_overlay(cluster: Cluster, check: Callable[[Cluster], Complaints]) -> None:
    assert list(check(cluster)) == []


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_control_a_mistake_is_found(cluster: Cluster, mistake: str) -> None:
    change, check = MISTAKES[mistake]
    change(cluster)

    assert list(check(cluster)), f"{check.__name__} does not find it"


@pytest.mark.parametrize(
    ("overlay", "mistake"),
    [*(("local", name) for name in sorted(LOCAL)), *(("production", name) for name in sorted(PRODUCTION))],
)
def test_control_a_mistake_in_one_overlay_is_found(overlay: str, mistake: str, secrets: dict[str, str]) -> None:
    cluster = Cluster(copy_of(_built(overlay)), secrets, overlay)
    change, check = {"local": LOCAL, "production": PRODUCTION}[overlay][mistake]
    change(cluster)

    assert list(check(cluster)), f"{check.__name__} does not find it"


BUILDERS = ["ours", *(["kubectl"] if shutil.which("kubectl") else [])]


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_we_read_is_what_kubectl_applies(builder: str, overlay: str) -> None:
    """Where kubectl is installed its kustomize has the last word; elsewhere the overlay can at least be built."""
    directory = ROOT / "k8s/overlays" / overlay
    ours = {_key(resource): resource for resource in build(directory)}
    assert len(ours) == len(build(directory)) > 50
    if builder == "kubectl":
        command = ["kubectl", "kustomize", directory]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert {_key(resource): resource for resource in yaml.safe_load_all(text)} == ours


def _key(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def test_an_operator_may_put_in_a_registry(tmp_path: Path, secrets: dict[str, str]) -> None:
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    overlay = tmp_path / "k8s/overlays/production"
    text = (overlay / "kustomization.yaml").read_text()
    named = re.sub(r"- name: (homeroom-.+)", r"- name: \1\n    newName: registry.example:5000/ours/\1", text)
    (overlay / "kustomization.yaml").write_text(named)

    cluster = Cluster(build(overlay), secrets, "production")

    images = {pod["spec"]["containers"][0]["image"] for pod in cluster.workloads().values()}
    assert all(re.fullmatch(r"registry\.example:5000/ours/homeroom-[a-z]+:v[0-9.]+", image) for image in images)
    assert {image_name(image) for image in images} == {f"homeroom-{app}" for app in APPS}
    assert [complaint for check in CHECKS for complaint in check(cluster)] == []


def test_the_roll_out_knows_every_service() -> None:
    script = (ROOT / "k8s/roll-out.sh").read_text()

    listed = re.search(r'^services="([a-z ]+)"$', script, re.MULTILINE)
    assert listed is not None
    assert sorted(listed[1].split()) == sorted(SERVICE_NAMES)
    assert script.count("for service in $services; do") == script.count("for service") == 2


def _kubectl(directory: Path, failing: str) -> None:
    """One that only writes down what it is asked."""
    fake = directory / "kubectl"
    fake.write_text(f'#!/bin/sh\necho "$@" >>{directory}/asked\ncase "$*" in {failing}) exit 1 ;; esac\n')
    fake.chmod(0o755)


def _roll_out(directory: Path, failing: str = "never") -> tuple[int, list[str]]:
    _kubectl(directory, failing)
    env = {"PATH": f"{directory}:/usr/bin:/bin"}
    ended = subprocess.run([ROOT / "k8s/roll-out.sh", "overlay"], env=env, check=False, capture_output=True)
    return ended.returncode, (directory / "asked").read_text().splitlines()


def test_the_roll_out_takes_every_resource_of_the_apps(cluster: Cluster, tmp_path: Path) -> None:
    _, asked = _roll_out(tmp_path)
    applied = [line.split()[-1] for line in asked if f"apply --kustomize overlay --selector {PHASE}=app" in line]
    selected = [dict(each.split("=") for each in selector.split(",")) for selector in applied]

    apps = [labels for each in cluster.resources if (labels := each["metadata"].get("labels", {})).get(PHASE) == "app"]
    assert len(apps) > len(DEPLOYMENTS)
    for labels in apps:
        assert any(wanted.items() <= labels.items() for wanted in selected), labels


def test_the_roll_out_waits_for_each_migration(tmp_path: Path) -> None:
    code, asked = _roll_out(tmp_path)

    app = next(number for number, line in enumerate(asked) if f"{PHASE}=app" in line)
    for service in SERVICE_NAMES:
        applied = next(n for n, line in enumerate(asked) if f"{PHASE}=migration,{NAME}={service}" in line)
        waited = next(n for n, line in enumerate(asked) if f"job/{service}-migrate" in line and "wait" in line)
        assert applied < waited < app
    assert code == 0


def test_a_failed_migration_ends_the_roll_out(tmp_path: Path) -> None:
    code, asked = _roll_out(tmp_path, "*wait*job/school-migrate*")

    assert code != 0
    assert not [line for line in asked if f"{PHASE}=app" in line]
