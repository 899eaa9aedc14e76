"""`make run` as a person meets it: what is printed, how it ends, and that nothing stays behind."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from tools import launch
from tools.embedded.processes import PartFailed, wait_until
from tools.environment import load_or_make_secrets
from tools.launch import Demo, Login, Terminal, welcome
from tools.stack import Stack

ROOT = Path(__file__).parents[2]
DEMO = Demo(
    logins=[Login("teacher", "t@x.test", "pass word", "Hill School"), Login("platform admin", "a@x.test", "pw")]
)

# The launcher as it is, but for two things: ports are free ones, and our own processes are left out.
LAUNCHER = """
import sys
from tools import launch
from tools.stack import Stack

class BackingServers(Stack):
    def _start_own(self):
        pass

launch.Stack = lambda directory, **options: BackingServers(directory, **(options | {"fixed_ports": False}))
sys.exit(launch.main())
"""


@pytest.fixture
def directory(tmp_path):
    """A run folder in which the demo is loaded already."""
    (tmp_path / "demo.json").write_bytes(msgspec.json.encode(DEMO))
    return tmp_path


@pytest.fixture
def launcher(directory):
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, "--directory", str(directory)],
        cwd=ROOT,
        env={**os.environ, "BUS_URL": "valkey"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        yield child
        child.kill()


def read_until(launcher, text: str) -> str:
    lines = []
    while not lines or text not in lines[-1]:
        line = launcher.stdout.readline()
        assert line, f"ended without saying {text!r}: {launcher.stderr.read()}"
        lines.append(line)
    return "".join(lines)


def children_of(launcher) -> dict[str, psutil.Process]:
    """Those that run: one that is just over, as of Postgres now and then, has no command line."""
    found: dict[str, psutil.Process] = {}
    for child in psutil.Process(launcher.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[" ".join(child.cmdline())] = child
    return found


def assert_gone(processes: dict[str, psutil.Process]) -> None:
    wait_until(lambda: not any(process.is_running() for process in processes.values()), 30, "all to be gone")


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_being_asked_to_stop_ends_every_process_and_is_no_failure(launcher, asked):
    read_until(launcher, "Ctrl-C")
    running = children_of(launcher)

    launcher.send_signal(asked)

    assert launcher.wait(30) == 0
    assert len(running) >= 4
    assert launcher.stderr.read() == ""
    assert_gone(running)


def test_being_asked_in_the_middle_of_the_start_is_obeyed_too(launcher):
    read_until(launcher, "Starting")
    launcher.send_signal(signal.SIGINT)

    assert launcher.wait(30) == 0
    assert "Homeroom runs" not in launcher.stdout.read()


def test_the_death_of_a_part_ends_everything_with_one_sentence(launcher):
    read_until(launcher, "Ctrl-C")
    running = children_of(launcher)

    next(process for command, process in running.items() if "valkey-server" in command).kill()

    assert launcher.wait(30) == 1
    assert re.fullmatch(
        r"Valkey was ended by SIGKILL; the last line of .*valkey\.log is: .*", launcher.stderr.read().strip()
    )
    assert_gone(running)


def test_even_kill_9_leaves_nothing_running(launcher):
    read_until(launcher, "Ctrl-C")
    running = children_of(launcher)

    launcher.kill()

    launcher.wait(30)
    assert_gone(running)


def test_the_welcome_names_address_docs_mails_and_a_login_of_each_role(launcher, directory):
    said = read_until(launcher, "Ctrl-C")

    assert re.search(r"Address +http://127\.0\.0\.1:\d+\n", said)
    assert re.search(r"Docs +http://127\.0\.0\.1:\d+/docs\n", said)
    assert re.search(rf"Mails +{directory}/mail\n", said)
    assert re.search(r"teacher +t@x\.test +pass word +\(Hill School\)\n", said)
    assert re.search(r"platform admin +a@x\.test +pw\n", said)


def test_progress_is_shown(launcher):
    said = read_until(launcher, "Homeroom runs")

    assert re.findall(r"^ *\d+\.\d s  (\w+) is ready$", said, re.MULTILINE)


def test_a_folder_that_cannot_be_used_is_told(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["launch", "--directory", str(tmp_path / "file")])
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    assert launch.main() == 1
    assert capsys.readouterr().err.strip() == f"{tmp_path}/file cannot be used: File exists ({tmp_path}/file)."


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack that runs nothing, with what the demo's loader is told about it."""
    stack = Stack(tmp_path)
    monkeypatch.setattr(Stack, "url", lambda _self, _name="gateway": "http://gateway.test")
    stack.secrets = load_or_make_secrets(tmp_path / "secrets.json")
    return stack


def loader(tmp_path, monkeypatch, code: str) -> None:
    """Put `code` in the place of `tools.seed`."""
    (tmp_path / "code" / "tools").mkdir(parents=True)
    (tmp_path / "code" / "tools" / "seed.py").write_text(code)
    monkeypatch.setattr(launch, "ROOT", tmp_path / "code")


def test_what_the_demos_loader_says_is_shown(stack, tmp_path, monkeypatch, capsys):
    loader(tmp_path, monkeypatch, "import os; print('district at', os.environ['GATEWAY_URL'])")

    launch.load_demo(stack, Terminal())

    assert "district at http://gateway.test" in capsys.readouterr().out


def test_a_demo_that_does_not_load_is_told(stack, tmp_path, monkeypatch):
    loader(tmp_path, monkeypatch, "raise SystemExit('no district here')")

    with pytest.raises(PartFailed, match=r"The demo's loader ended with exit code 1; .* is: no district here$"):
        launch.load_demo(stack, Terminal())


def test_an_empty_demo_is_welcome_too(stack):
    assert "Sign in as" in welcome(stack, Demo(logins=[]))
