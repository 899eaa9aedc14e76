"""`make bench`: play the morning rush, compare with others, print the requirement table, keep the figures as JSON.

`python -m bench --help` tells how to play a smaller one. Everything runs on this machine: the figures are those of a
house and its visitors on the same cores, and only ratios travel to other machines.
"""

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import peers
from bench.calls import SIGN_INS, SPANS
from bench.disturbances import neighbour, standstill
from bench.house import PASSWORD, Bench, User, new_stack
from bench.machine import cores_given
from bench.measures import DatabaseWatch, cpu_us_per_request, usage
from bench.rush import Rush
from bench.table import Failure, Part, Result, rows_of, text_of
from tools.embedded.processes import PartFailed
from tools.stack import ROOT, Stack

SUSTAINED_S: Final = 60.0
LATEST_ALERT_S: Final = 60.0
"""After the rush; later than required is as bad as never."""


def main() -> int:
    """1 when a requirement was not met, or when something could not be measured."""
    parser = argparse.ArgumentParser(description="Play the morning rush and measure it.")
    parser.add_argument("--users", type=int, default=1000, help="how many of the thousand take part")
    parser.add_argument("--at-once", type=int, default=300)
    parser.add_argument("--hold", type=float, default=60, help="seconds for which the first wave is kept up")
    parser.add_argument(
        "--disturbed", type=float, default=60, help="seconds for which Redis stands still, and one school is noisy"
    )
    parser.add_argument("--turns", type=int, default=3, help="of each contender, in the comparison with others")
    parser.add_argument("--seconds", type=int, default=5, help="of each turn")
    parser.add_argument("--without-peers", action="store_true", help="leave out nginx and Node")
    parser.add_argument("--output", type=Path, default=ROOT / ".run" / "bench.json")
    options = parser.parse_args()
    if not options.without_peers and (missing := peers.missing_programs()):
        print(f"The comparison needs Debian's {', '.join(missing)}; or say --without-peers.", file=sys.stderr)
        return 1
    try:
        result = measure(options)
    except PartFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    print("\n" + text_of(result))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(f"\nKept in {options.output}.")
    return 0 if all(row.is_met for row in result.rows) else 1


def measure(options: argparse.Namespace) -> Result:
    commit, is_dirty = _git("rev-parse", "HEAD") or "unknown", bool(_git("status", "--porcelain"))
    with tempfile.TemporaryDirectory(prefix="homeroom-bench-") as folder:
        directory = Path(folder)
        # A root's nginx reads its answers as nobody.
        directory.chmod(0o711)
        with new_stack(directory / "house", say) as stack:
            bench = Bench(stack, say)
            users = bench.fill(options.users)
            say(f"The rush begins: {len(users)} people, {options.at_once} at once")
            result = asyncio.run(rush(stack, users, at_once=options.at_once, hold_s=options.hold))
            say("Redis stands still")
            frozen = asyncio.run(standstill(stack, users, seconds=options.disturbed))
            say("One school is noisy")
            noisy = asyncio.run(neighbour(stack, users, seconds=options.disturbed))
            result = msgspec.structs.replace(result, standstill=frozen, neighbour=noisy)
            if not options.without_peers:
                result = compare(result, bench, directory, users, options)
    return msgspec.structs.replace(result, commit=commit, is_dirty=is_dirty, rows=rows_of(result))


async def rush(stack: Stack, users: list[User], *, at_once: int, hold_s: float) -> Result:
    watch = DatabaseWatch(stack.admin_url)
    watch.reset()
    given = cores_given()
    began_at, before = datetime.now(UTC), usage(stack)
    playing = Rush(stack.url(), stack.addresses.object_store_url, users, at_once=at_once, hold_s=hold_s)
    async with watch.watching():
        seconds = await playing.play()
    after, queries = usage(stack), watch.queries(seconds=seconds)
    alerts = await watch.alerts(expected=len(playing.absent), timeout_s=LATEST_ALERT_S)
    calls = playing.times.percentiles()
    requests = sum(each.count for name, each in calls.items() if name not in SPANS)
    failures = playing.failures + Counter({watch.fault: 1} if watch.fault else {})
    return Result(
        began_at=began_at.isoformat(timespec="seconds"),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        cores_given=given,
        users=len({user.address for user in playing.signed_in}),
        schools=len({user.school for user in playing.signed_in}),
        at_once=playing.crowd.peak,
        sustained=playing.crowd.sustained(SUSTAINED_S),
        seconds=seconds,
        requests_per_minute=requests * 60 / seconds,
        session_seconds=playing.busy_s / max(len(playing.signed_in), 1),
        calls=calls,
        answers=playing.times.of_all(but=(*SIGN_INS, *SPANS)),
        queries=queries,
        connections=watch.connections,
        alerts=alerts,
        alerts_expected=len(playing.absent),
        parts=_parts(cpu_us_per_request(before, after, requests)),
        failures=[Failure(what=what, count=count) for what, count in failures.most_common()],
    )


def compare(result: Result, bench: Bench, directory: Path, users: list[User], options: argparse.Namespace) -> Result:
    """The same work by others, in the same run."""
    say("Installing the peers")
    folder = directory / "peers"
    folder.mkdir()
    peers.install(folder)
    say("Gateways")
    how: dict[str, Any] = {"turns": options.turns, "seconds": options.seconds}
    with peers.gateways(folder, bench.stack.addresses.redis_url) as contenders:
        peers.ensure_same(contenders, peers.whole)
        gateways = peers.compare(contenders, **how)
    say("Lists")
    teacher = next(user for user in users if user.role == "teacher")
    visitor = bench.visitor(teacher.ip).sign_in(teacher.address, PASSWORD)
    asked = {
        "token": visitor.signed_in["access_token"],
        "school_id": visitor.signed_in["memberships"][0]["school_id"],
        "class_id": visitor.get("/classes")["items"][0]["id"],
    }
    with peers.lists(bench.stack, folder, **asked) as contenders:
        peers.ensure_same(contenders, peers.students)
        lists = peers.compare(contenders, **how)
    return msgspec.structs.replace(result, gateways=gateways, lists=lists)


def _parts(measured: Mapping[str, tuple[float, float]]) -> dict[str, Part]:
    return {name: Part(cpu_us_per_request=cpu_us, pss_mb=pss_mb) for name, (cpu_us, pss_mb) in measured.items()}


def _git(*asked: str) -> str:
    return subprocess.run(["git", *asked], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


BEGAN = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
