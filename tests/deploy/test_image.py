"""The Dockerfile, without Docker: its instructions are read, and what it copies is made and started for real."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.deploy.conftest import Alone
from tests.deploy.manifests import APPS, ROOT, Complaints
from tools.embedded.postgres import UNPRIVILEGED_UID
from tools.embedded.processes import Process, free_port, is_listening
from tools.topology import SERVICE_NAMES

DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Started before anything else, this refuses every package that the image would not hold.
ONLY_THE_LOCK = """
import importlib.metadata, re, sys
locked = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in open(LOCK) if re.match(r"[a-z0-9]", line)}
held = importlib.metadata.packages_distributions()
class Refuse:
    def find_spec(self, name, path=None, target=None):
        owners = held.get(name.partition(".")[0])
        if owners and not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & locked:
            raise ImportError(f"{name} is not in the lock")
sys.meta_path.insert(0, Refuse())
"""


class Stage:
    def __init__(self, first: str) -> None:
        self.base = first.split()[1]
        self.lines: list[str] = []

    def all(self, instruction: str) -> list[str]:
        return [line.split(maxsplit=1)[1] for line in self.lines if line.split()[0] == instruction]


def stages(dockerfile: str) -> list[Stage]:
    found: list[Stage] = []
    whole = re.sub(r"\\\n\s*", "", dockerfile)
    for line in whole.splitlines():
        if line.startswith("FROM "):
            found.append(Stage(line))
        elif line and not line.startswith("#") and found:
            found[-1].lines.append(line)
    return found


def complaints(dockerfile: str) -> Complaints:
    *_, last = stages(dockerfile)
    users = last.all("USER")
    if not users or not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", users[-1]):
        yield "runs as root, or as a user whose number nobody knows"
    if any(not copied.startswith("--from=") for copied in last.all("COPY")) or last.all("RUN"):
        yield "holds what it was built with"
    if "PYTHONDONTWRITEBYTECODE=1" not in " ".join(last.all("ENV")):
        yield "writes beside its code"
    installs = [line for stage in stages(dockerfile) for line in stage.all("RUN") if "pip install" in line]
    for line in installs:
        if not {"--require-hashes", "--no-deps", "--only-binary"} <= set(line.split()):
            yield "installs what nobody has seen"
        if "/tmp/requirements.lock" not in line:
            yield "installs more than it needs"
    if re.search(r"^(ADD|HEALTHCHECK) ", dockerfile, re.MULTILINE) or "://" in dockerfile:
        yield "fetches by itself, or asks itself for its health"
    if {stage.base for stage in stages(dockerfile)} != {"${BASE}"}:
        yield "cannot be built on another base"
    named = re.findall(r"^ARG (APP|BASE)\b", dockerfile, re.MULTILINE)
    if not {"APP", "BASE"} <= set(named):
        yield "lacks an argument"


def believes_nobody(dockerfile: str) -> Complaints:
    trusted = re.search(r"^ENV SSL_CERT_FILE=(\S+)$", dockerfile, re.MULTILINE)
    if not trusted or f"\nRUN test -s {trusted[1]}\n" not in dockerfile:
        yield "believes a file of CAs that need not be there, or none"


def test_the_dockerfile_is_tight() -> None:
    assert [*complaints(DOCKERFILE), *believes_nobody(DOCKERFILE)] == []


MISTAKES: dict[str, Callable[[str], str]] = {
    "root": lambda text: text.replace("USER 10001:10001", ""),
    "a user by name": lambda text: text.replace("USER 10001:10001", "USER homeroom"),
    "no hashes": lambda text: text.replace(" --require-hashes", ""),
    "the development lock": lambda text: text.replace("/tmp/requirements.lock", "/tmp/requirements-dev.lock"),
    "the sources": lambda text: text + "COPY . /app\n",
    "bytecode": lambda text: text.replace("PYTHONDONTWRITEBYTECODE=1 ", ""),
    "nobody to trust": lambda text: re.sub(r"ENV SSL_CERT_FILE=.*\n", "", text),
    "CAs that are not looked for": lambda text: re.sub(r"RUN test -s .*\n", "", text),
    "a fixed base": lambda text: text.replace("FROM ${BASE}\n", "FROM python:3.11\n"),
    "a download": lambda text: text + "ADD https://example.org/x /x\n",
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_control_a_careless_dockerfile_is_found(mistake: str) -> None:
    changed = MISTAKES[mistake](DOCKERFILE)

    assert changed != DOCKERFILE
    assert [*complaints(changed), *believes_nobody(changed)]


def pick(app: str, target: Path, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["sh", ROOT / "deploy/pick-app.sh", app, source, target]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def image_env(directory: Path) -> dict[str, str]:
    """Our Python stands in for the image's, held to the packages of the lock."""
    hooks = directory / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(ONLY_THE_LOCK.replace("LOCK", repr(str(ROOT / "requirements.lock"))))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(hooks), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}


@pytest.mark.parametrize("app", sorted(APPS))
def test_an_image_holds_shared_and_one_app(tmp_path: Path, app: str) -> None:
    assert pick(app, tmp_path).returncode == 0

    folder = "gateway" if app == "gateway" else f"services/{app}"
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert f"{folder}/__main__.py" in files
    assert all(name == "start" or name.startswith(("shared/", f"{folder}/")) for name in files)
    assert not [name for name in files if "tests/" in name or "testing/" in name]
    if app != "gateway":
        assert any(name.startswith(f"{folder}/migrations/") for name in files)


@pytest.mark.parametrize("app", ["", "nothing", "../tools", "auth/sessions"])
def test_what_is_no_app_is_not_built(tmp_path: Path, app: str) -> None:
    ended = pick(app, tmp_path / "app")

    assert ended.returncode == 2
    assert "APP must name" in ended.stderr


@pytest.mark.parametrize("app", sorted(SERVICE_NAMES))
def test_a_service_needs_no_package_besides_the_lock(tmp_path: Path, alone: Alone, app: str) -> None:
    pick(app, tmp_path / "app")
    env = {**alone.service_env(app), **image_env(tmp_path)}

    ended = subprocess.run(
        [tmp_path / "app/start", "openapi"], cwd=tmp_path / "app", env=env, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (ROOT / f"services/{app}/openapi.json").read_text()


def test_control_a_package_besides_the_lock_is_refused(tmp_path: Path, alone: Alone) -> None:
    pick("school", tmp_path / "app")
    main = tmp_path / "app/services/school/__main__.py"
    main.write_text("import psutil\n" + main.read_text())

    ended = subprocess.run(
        [tmp_path / "app/start", "openapi"],
        cwd=tmp_path / "app",
        env={**alone.service_env("school"), **image_env(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "psutil is not in the lock" in ended.stderr


def test_an_app_runs_as_nobody_and_writes_nothing(alone: Alone, tmp_path: Path) -> None:
    """As in a container: a user without rights, a file system that cannot be written."""
    app = tmp_path / "app"
    pick("school", app)
    before = {path: path.stat().st_mtime_ns for path in app.rglob("*")}
    for path in app.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    port = free_port()
    env = {**alone.service_env("school"), **image_env(tmp_path), "HOST": "127.0.0.1", "PORT": str(port)}
    process = Process(
        "the image", [app / "start", "serve"], log=tmp_path / "log", env=env, cwd=app, privileges=_nobody()
    )
    process.start()
    try:
        process.wait_ready(
            lambda: (
                is_listening(port) and httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).is_success
            ),
            60,
        )
    finally:
        process.request_stop()
        assert process.wait(20) == 0
    assert {path: path.stat().st_mtime_ns for path in app.rglob("*")} == before
    shutil.rmtree(app)


def _nobody() -> tuple[str, ...]:
    """Root may only read what is hidden in its temporary folders, and write nowhere."""
    if os.geteuid() != 0:
        return ()
    user = (f"--reuid={UNPRIVILEGED_UID}", f"--regid={UNPRIVILEGED_UID}", "--clear-groups")
    return (*user, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last pattern that matches decides."""
    decided = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = [".*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("/")]
        expression = "/".join(parts).replace(".*/", "(?:.*/)?")
        if re.match(f"{expression}(?:/|$)", path):
            decided = not line.startswith("!")
    return decided


def test_the_builder_is_sent_what_it_copies_and_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sent = [path for path in [*listed.splitlines(), "deploy/secrets.env", ".run/secrets.json"] if not ignored(path)]
    copied = {argument for stage in stages(DOCKERFILE) for copy in stage.all("COPY") for argument in copy.split()[:-1]}

    assert all(path.split("/")[0] in copied or path in copied for path in sent), sent
    assert all(any(path.startswith(name) for path in sent) for name in copied if not name.startswith(("-", "/")))
    assert not [path for path in sent if "/tests/" in path or path.startswith("shared/testing")]
