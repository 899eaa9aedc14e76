import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import psutil
import pytest

from tools.embedded.processes import KERNEL_PORTS, PartFailed, Process, free_port, is_listening, wait_until

ROOT = Path(__file__).parents[2]
SLEEP = "import time; time.sleep(600)"

STUBBORN_WITH_CHILD = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
time.sleep(600)
"""

PARENT = """
import sys, time
from pathlib import Path
from threading import Thread
from tools.embedded.processes import Process
child = Process("child", [sys.executable, "-c", {sleep!r}], log=Path({log!r}))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def python(tmp_path: Path, code: str, name: str = "the part") -> Process:
    return Process(name, [sys.executable, "-c", code], log=tmp_path / "part.log")


def test_a_part_that_dies_is_named_with_the_last_line_of_its_log(tmp_path):
    part = python(tmp_path, "print('all well'); raise SystemExit('out of paper')")
    part.start()

    with pytest.raises(PartFailed) as failure:
        part.wait_ready(lambda: False, 30)

    assert str(failure.value) == (f"the part ended with exit code 1; the last line of {part.log} is: out of paper")


def test_the_last_line_is_never_one_of_an_earlier_run(tmp_path):
    part = python(tmp_path, "raise SystemExit(3)")
    part.log.write_text("old news\n")
    part.start()

    with pytest.raises(PartFailed, match=r"exit code 3.*is: \(nothing\)$"):
        part.wait_ready(lambda: False, 30)


def test_a_part_ended_by_a_signal_is_told_so(tmp_path):
    part = python(tmp_path, SLEEP)
    part.start()
    part.kill()

    with pytest.raises(PartFailed, match="the part was ended by SIGKILL"):
        part.ensure_running()


def test_a_program_that_is_missing_is_told(tmp_path):
    part = Process("the part", [tmp_path / "no-such-program"], log=tmp_path / "part.log")

    with pytest.raises(PartFailed, match=r"the part .*no-such-program"):
        start_and_wait(part)


def test_a_slow_part_is_told_after_the_time_limit():
    with pytest.raises(PartFailed, match=r"^Waited 0\.1 s in vain for the moon\.$"):
        wait_until(lambda: False, 0.1, "the moon")


def test_stopping_ends_the_whole_group_even_if_the_part_refuses(tmp_path):
    part = python(tmp_path, STUBBORN_WITH_CHILD)
    part.start()
    part.wait_ready(lambda: part.last_words().isdigit(), 30)
    grandchild = psutil.Process(int(part.last_words()))

    part.stop(grace_s=0.2)

    assert not part.is_running
    wait_until(lambda: not alive(grandchild), 30, "the grandchild to be gone")


def test_a_killed_parent_leaves_nothing_running(tmp_path):
    code = PARENT.format(sleep=SLEEP, log=str(tmp_path / "child.log"))
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with parent:
        child = psutil.Process(int(parent.stdout.readline()))
        # Until setpriv has become the program, it has not asked the kernel to end it with its parent.
        wait_until(lambda: child.name() != "setpriv", 30, "the child to be itself")
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not alive(child), 30, "the child to be gone")


def test_a_part_outlives_the_thread_that_started_it(tmp_path):
    part = python(tmp_path, SLEEP)
    starter = Thread(target=part.start)
    starter.start()
    starter.join()
    time.sleep(0.2)

    assert part.is_running
    part.stop()


def test_a_free_port_is_not_listened_on():
    assert not is_listening(free_port())


def test_a_free_port_is_given_once_and_never_taken_by_a_connection():
    ports = [free_port() for _ in range(200)]

    assert len(set(ports)) == len(ports)
    assert max(ports) < int(KERNEL_PORTS.read_text().split()[0])


def start_and_wait(part: Process) -> None:
    part.start()
    part.wait_ready(lambda: False, 30)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
