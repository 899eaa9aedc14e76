"""Each service, and the gateway, can be shipped alone: with `shared` beside it and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.topology import SERVICE_NAMES

ROOT = Path(__file__).parents[2]
APPS = {**{name: f"services.{name}.app" for name in SERVICE_NAMES}, "gateway": "gateway.app"}
WITHOUT_TESTS = shutil.ignore_patterns("tests", "testing", "__pycache__")


def imported_alone(directory: Path, module: str) -> subprocess.CompletedProcess[str]:
    shutil.copytree(ROOT / "shared", directory / "shared", ignore=WITHOUT_TESTS)
    folder = module.removesuffix(".app").replace(".", "/")
    shutil.copytree(ROOT / folder, directory / folder, ignore=WITHOUT_TESTS)
    return subprocess.run(
        [sys.executable, "-c", f"import {module}"], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("app", sorted(APPS))
def test_an_app_starts_with_shared_and_itself(tmp_path: Path, app: str) -> None:
    ended = imported_alone(tmp_path, APPS[app])

    assert ended.returncode == 0, ended.stderr


def test_control_what_needs_another_service_is_found(tmp_path: Path) -> None:
    ended = imported_alone(tmp_path, "services.school.app")
    assert ended.returncode == 0
    (tmp_path / "services/school/app.py").write_text("import services.academic.app\n")

    again = subprocess.run(
        [sys.executable, "-c", "import services.school.app"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "services.academic" in again.stderr
