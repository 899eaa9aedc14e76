"""k8s/roll-out.sh against a kubectl that remembers: jobs that fail, and settings that change."""

import re
import subprocess
from pathlib import Path

from tests.deploy.cluster import COMPONENT, DEPLOYMENTS, NAME, PHASE
from tests.deploy.manifests import ROOT

SCRIPT = (ROOT / "k8s/roll-out.sh").read_text()


class Kubectl:
    """Answers `wait` by what becomes of the jobs, `get` by what there is, and writes down what it is asked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.failed, self.stuck, self.completes_at_try = "none", "none", 1
        self.settings, self.secret = "11 12 13 ", "21 "

    def roll_out(self, script: str = SCRIPT) -> int:
        self._write("asked", "")
        self._write("tries", "")
        self._write("kubectl", self._program()).chmod(0o755)
        self._write("roll-out.sh", script).chmod(0o755)
        env = {"PATH": f"{self._directory}:/usr/bin:/bin"}
        command = [self._directory / "roll-out.sh", "overlay"]
        return subprocess.run(command, env=env, check=False, capture_output=True, timeout=120).returncode

    def _write(self, name: str, text: str) -> Path:
        (self._directory / name).write_text(text)
        return self._directory / name

    def _program(self) -> str:
        return f"""#!/bin/sh
echo "$@" >>{self._directory}/asked
case "$*" in
    *condition=Complete*job/{self.failed}-migrate) exit 1 ;;
    *condition=Failed*job/{self.failed}-migrate) exit 0 ;;
    *condition=Complete*job/auth-migrate)
        echo try >>{self._directory}/tries
        [ "$(wc -l <{self._directory}/tries)" -ge {self.completes_at_try} ] ;;
    *condition=Failed*) exit 1 ;;
    *"get configmap"*) printf '%s' '{self.settings}' ;;
    *"get secret homeroom"*) printf '%s' '{self.secret}' ;;
    *"get deployment"*) for each in "$@"; do case "$each" in *{COMPONENT}=*)
        app="${{each#*{NAME}=}}"; app="${{app%%,*}}"
        case "$each" in *=worker) app="$app-worker" ;; esac
        echo "deployment.apps/$app" ;;
    esac; done ;;
    *"rollout status deployment.apps/{self.stuck} "*) exit 1 ;;
esac
"""

    @property
    def asked(self) -> list[str]:
        return (self._directory / "asked").read_text().splitlines()

    def patched(self) -> dict[str, str]:
        told = re.compile(r"patch (\S+) .*homeroom\.example/settings\": \"([0-9a-f]{16})\"")
        return {match[1]: match[2] for match in map(told.search, self.asked) if match}


def test_a_job_that_failed_is_not_waited_for(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.failed = "school"

    assert kubectl.roll_out() == 1

    assert len([line for line in kubectl.asked if "wait" in line and "job/school-migrate" in line]) == 2
    assert any("logs" in line and "job/school-migrate" in line for line in kubectl.asked)
    assert not [line for line in kubectl.asked if "academic" in line or "patch" in line]
    assert not [line for line in kubectl.asked if f"{PHASE}=app" in line]


def test_a_job_that_takes_long_is_waited_for(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.completes_at_try = 30

    assert kubectl.roll_out() == 0


def test_a_job_is_not_waited_for_without_end(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.completes_at_try = 1000

    assert kubectl.roll_out() == 1

    assert len([line for line in kubectl.asked if "condition=Complete" in line]) == 90


def test_pods_restart_with_new_settings_and_only_then(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    assert kubectl.roll_out() == 0
    first, asked = kubectl.patched(), kubectl.asked
    kubectl.roll_out()
    again = kubectl.patched()
    kubectl.settings = "11 12 14 "
    kubectl.roll_out()
    changed = kubectl.patched()
    kubectl.secret = "22 "
    kubectl.roll_out()

    assert sorted(first) == sorted(f"deployment.apps/{name}" for name in DEPLOYMENTS)
    assert len([line for line in asked if "patch" in line]) == len(DEPLOYMENTS)
    assert again == first
    assert len({*first.values(), *changed.values(), *kubectl.patched().values()}) == 3


def one_after_the_other(asked: list[str]) -> bool:
    """Whether each deployment is applied, patched and waited for before the next one is touched."""
    steps = [
        line
        for line in asked
        if f"apply --kustomize overlay --selector {PHASE}=app" in line or "deployment.apps" in line
    ]
    kinds = [next(kind for kind in ("apply", "patch", "rollout status") if kind in line) for line in steps]
    return kinds == ["apply", "patch", "rollout status"] * len(DEPLOYMENTS)


def test_the_next_deployment_waits_for_the_one_before(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)

    assert kubectl.roll_out() == 0

    assert one_after_the_other(kubectl.asked)


def test_control_a_script_that_waits_for_nobody_is_found(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    hasty = SCRIPT.replace("in_house rollout status", ": in_house rollout status")

    assert kubectl.roll_out(hasty) == 0

    assert hasty != SCRIPT
    assert not one_after_the_other(kubectl.asked)


def test_a_deployment_that_does_not_come_up_ends_the_roll_out(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.stuck = "school"

    assert kubectl.roll_out() == 1

    assert f"{PHASE}=app,{NAME}=school,{COMPONENT}=api" in " ".join(kubectl.asked)
    assert not [line for line in kubectl.asked if "deployment.apps/academic" in line or "school-worker" in line]


def test_settings_of_a_roll_out_that_ended_early_arrive_with_the_next(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    kubectl.roll_out()
    before = kubectl.patched()
    kubectl.settings, kubectl.failed = "11 12 14 ", "school"
    kubectl.roll_out()
    assert kubectl.patched() == {}
    kubectl.failed = "none"
    kubectl.roll_out()

    assert kubectl.patched().keys() == before.keys()
    assert kubectl.patched() != before


def test_control_a_script_that_looks_for_nothing_restarts_nothing(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    careless = SCRIPT.replace("settings=$(version_of_settings)", "settings=0000000000000000")
    kubectl.roll_out(careless)
    before = kubectl.patched()
    kubectl.settings = "14 "
    kubectl.roll_out(careless)

    assert careless != SCRIPT
    assert kubectl.patched() == before != {}
