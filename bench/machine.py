"""What the machine gives: virtual cores are often shared with others, and then two of them do the work of one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

SPELL_S: Final = 1.0
COUNTING: Final = """
import sys, time
until, rounds = time.perf_counter() + float(sys.argv[1]), 0
while time.perf_counter() < until:
    sum(range(1000))
    rounds += 1
print(rounds)
"""


def cores_given(*, spell_s: float = SPELL_S) -> float:
    """How many times as much all cores do together as one does alone, at this moment. Takes two spells."""
    (alone,) = _counted(1, spell_s)
    return sum(_counted(os.cpu_count() or 1, spell_s)) / alone


def _counted(processes: int, spell_s: float) -> Sequence[int]:
    command = [sys.executable, "-c", COUNTING, str(spell_s)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return [int(each.communicate()[0]) for each in running]
