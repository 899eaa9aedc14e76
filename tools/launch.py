"""`make run`: start the house, load the demo the first time, say where things are, and stop it all on Ctrl-C.

`python -m tools.launch [--directory .run]`. BUS_URL in the environment chooses a bus that runs elsewhere.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from tools.embedded.processes import PartFailed, Process
from tools.stack import ROOT, Stack

WATCH_S = 0.5
SEED_TIMEOUT_S = 300.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Asked(BaseException):
    """Somebody pressed Ctrl-C, or sent a signal that means the same."""


class Login(msgspec.Struct, frozen=True):
    role: str
    email: str
    password: str
    school: str | None = None


class Demo(msgspec.Struct, frozen=True):
    """What `tools.seed` leaves in `demo.json`."""

    logins: Sequence[Login]


class Terminal:
    """Tells progress, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True)


def main() -> int:
    """0 when asked to stop, 1 when something failed; either way nothing is left running."""
    parser = argparse.ArgumentParser(description="Run Homeroom on this machine.")
    parser.add_argument("--directory", type=Path, default=ROOT / ".run", help="where all state lives")
    parser.add_argument("--only-migrate", action="store_true", help="bring the schemas up to date, then end")
    options = parser.parse_args()
    for name in STOP_SIGNALS:
        signal.signal(name, _ask)
    terminal = Terminal()
    stack = Stack(options.directory, fixed_ports=True, bus=os.environ.get("BUS_URL", "auto"), say=terminal.say)
    try:
        if options.only_migrate:
            stack.migrate()
        else:
            run(stack, terminal)
    except Asked:
        print("\nStopping.", flush=True)
    except PartFailed as failure:
        return _fail(str(failure))
    except OSError as error:
        return _fail(f"{options.directory} cannot be used: {error.strerror} ({error.filename}).")
    finally:
        for name in STOP_SIGNALS:
            signal.signal(name, signal.SIG_IGN)
        stack.stop()
    return 0


def run(stack: Stack, terminal: Terminal) -> NoReturn:
    """Raises Asked, or PartFailed when a part dies."""
    terminal.say(f"Starting; state and logs are in {_short(stack.directory)}")
    stack.start()
    demo = stack.directory / "demo.json"
    if not demo.exists():
        load_demo(stack, terminal)
    terminal.say("Homeroom runs")
    print(welcome(stack, msgspec.json.decode(demo.read_bytes(), type=Demo)), flush=True)
    while True:
        stack.watch()
        time.sleep(WATCH_S)


def load_demo(stack: Stack, terminal: Terminal) -> None:
    """Let `tools.seed` do what a front end would; its lines are shown as they come."""
    terminal.say("Loading the demo")
    log = stack.logs / "seed.log"
    env = {
        "GATEWAY_URL": stack.url(),
        "BOOTSTRAP_EMAIL": stack.secrets.bootstrap_email,
        "BOOTSTRAP_PASSWORD": stack.secrets.bootstrap_password,
        "MAIL_DIRECTORY": str(stack.mail_directory),
        "RUN_DIRECTORY": str(stack.directory),
        "PYTHONUNBUFFERED": "1",
    }
    seed = Process("The demo's loader", [sys.executable, "-m", "tools.seed"], log=log, env=env, cwd=ROOT)
    seed.start()
    try:
        _follow(seed, stack, terminal)
    finally:
        seed.stop()


def welcome(stack: Stack, demo: Demo) -> str:
    """What a person wants to know now: where, and as whom."""
    width = max((len(login.email) for login in demo.logins), default=0)
    logins = [
        f"    {login.role:<16}{login.email:<{width}}  {login.password}{f'  ({login.school})' if login.school else ''}"
        for login in demo.logins
    ]
    return "\n".join(
        [
            "",
            f"  Address  {stack.url()}",
            f"  Docs     {stack.url()}/docs",
            f"  Mails    {_short(stack.mail_directory)}",
            "",
            "  Sign in as",
            *logins,
            "",
            "  Ctrl-C stops everything; `make run` finds the data again.",
        ]
    )


def _follow(seed: Process, stack: Stack, terminal: Terminal) -> None:
    deadline = time.monotonic() + SEED_TIMEOUT_S
    with seed.log.open() as log:
        while True:
            ended = not seed.is_running
            for line in log:
                terminal.say(f"  {line.strip()}")
            if ended:
                return seed.ensure_succeeded()
            stack.watch()
            if time.monotonic() > deadline:
                raise PartFailed(f"The demo was not loaded within {SEED_TIMEOUT_S:g} s; see {seed.log}.")
            time.sleep(WATCH_S / 5)


def _ask(_signal: int, _frame: FrameType | None) -> None:
    raise Asked


def _fail(sentence: str) -> int:
    print(f"\n{sentence}", file=sys.stderr)
    return 1


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
