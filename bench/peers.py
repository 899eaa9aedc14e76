"""Others at the same work, in the same minute: our gateway beside nginx and Node, our list beside Express and Prisma.

One process of each, asked by wrk over the same number of connections, in turns; medians over the turns. Only the
ratios mean anything: all of them share this machine's cores with wrk.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import jwt
import msgspec
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from shared import identity
from shared.ids import new_id
from tools.embedded.processes import PartFailed, Process, free_port, wait_until
from tools.environment import LOOPBACK
from tools.stack import ROOT, Stack
from tools.topology import SERVICE_NAMES

PEERS: Final = Path(__file__).parent / "peers"
CONNECTIONS: Final = 16
PROGRAMS: Final = {"wrk": "wrk", "nginx": "nginx-light", "node": "nodejs", "npm": "npm"}
REQUESTS: Final = re.compile(r"(\d+) requests in")
BAD: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
PERCENTILE: Final = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)", re.MULTILINE)
MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
NO_LIMIT: Final = "1000000000"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    requests_per_s: float
    cpu_us: float
    """Of the measured process, for each request."""
    p50_ms: float
    p99_ms: float


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str
    pid: int
    token: str


def missing_programs() -> list[str]:
    """Debian packages that this comparison needs and does not find."""
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


def ensure_same(contenders: Sequence[Contender], said: Callable[[bytes], object]) -> None:
    """Who answers less has less to do. Raises PartFailed unless all say the same, and something."""
    told = {each.name: said(_answer(each)) for each in contenders}
    first = next(iter(told.values()))
    if not first or any(each != first for each in told.values()):
        raise PartFailed(f"The contenders do not answer alike: {str(told)[:2000]}")


def whole(body: bytes) -> object:
    """For those that hand on what another says."""
    return body


def students(body: bytes) -> object:
    """The students of a list, in its order."""
    fields = ("id", "given_name", "family_name", "email", "grade")
    return [{name: each[name] for name in fields} for each in msgspec.json.decode(body)["items"]]


def _answer(contender: Contender) -> bytes:
    headers = {"Authorization": f"Bearer {contender.token}"}
    answer = httpx.get(contender.url, headers=headers, timeout=10, trust_env=False)
    if answer.status_code != 200:
        raise PartFailed(f"{contender.name} answered {answer.status_code}: {answer.text[:500]}")
    return answer.content


def compare(contenders: Sequence[Contender], *, turns: int, seconds: int) -> dict[str, Measured]:
    """In turns, so that what disturbs the machine disturbs all alike."""
    found: dict[str, list[Measured]] = {each.name: [] for each in contenders}
    for each in contenders:
        measure(each, seconds=1)
    for turn in range(turns):
        ordered = contenders if turn % 2 == 0 else list(reversed(contenders))
        for each in ordered:
            found[each.name].append(measure(each, seconds=seconds))
    return {name: _median(measured) for name, measured in found.items()}


def measure(contender: Contender, *, seconds: int) -> Measured:
    """Raises PartFailed when an answer was no success: then nothing was measured."""
    before = _cpu_s(contender.pid)
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    headers = ["-H", f"Authorization: Bearer {contender.token}"]
    told = subprocess.run([*argv, *headers, contender.url], capture_output=True, text=True, check=True).stdout
    used_s = _cpu_s(contender.pid) - before
    count = REQUESTS.search(told)
    if count is None or BAD.search(told):
        raise PartFailed(f"{contender.name} did not answer as it should:\n{told}")
    percentiles = {each[1]: float(each[2]) * MILLISECONDS[each[3]] for each in PERCENTILE.finditer(told)}
    requests = int(count[1])
    return Measured(
        requests_per_s=requests / seconds,
        cpu_us=used_s * 1e6 / max(requests, 1),
        p50_ms=percentiles["50"],
        p99_ms=percentiles["99"],
    )


def _median(measured: Sequence[Measured]) -> Measured:
    return Measured(**{name: median(getattr(each, name) for each in measured) for name in Measured.__struct_fields__})


def _cpu_s(pid: int) -> float:
    parent = psutil.Process(pid)
    times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)


class Signer:
    """Tokens of the bench's own, and the document that publishes their key."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def jwks(self) -> Mapping[str, object]:
        public = OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "bench", "alg": identity.ALGORITHM, "use": "sig"}]}

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": identity.ISSUER,
            "aud": identity.AUDIENCE,
            "sub": str(new_id()),
            "sid": str(new_id()),
            "role": identity.Role.TEACHER,
            "school": str(new_id()),
            "iat": now,
            "exp": now + 3600,
        }
        headers = {"typ": identity.ACCESS_TYPE, "kid": "bench"}
        return jwt.encode(claims, self._key, algorithm=identity.ALGORITHM, headers=headers)


@contextmanager
def gateways(directory: Path, redis_url: str) -> Generator[list[Contender]]:
    """Our gateway, nginx, bare Node and Express before the same upstream, which costs next to nothing."""
    signer = Signer()
    with ExitStack() as running:
        upstream_port = _write_answers(directory / "answers", signer)
        running.enter_context(_nginx("upstream", directory, {"PORT": str(upstream_port)}))
        upstream = f"http://{LOOPBACK}:{upstream_port}"
        started = {
            "homeroom gateway": running.enter_context(_our_gateway(directory, upstream, redis_url)),
            "nginx": running.enter_context(_nginx("proxy", directory, {"UPSTREAM_PORT": str(upstream_port)})),
            "node http-proxy, no limit": running.enter_context(_node("proxy_bare.js", directory, UPSTREAM=upstream)),
            "express + limit in redis": running.enter_context(
                _node("proxy_express.js", directory, UPSTREAM=upstream, REDIS_URL=redis_url)
            ),
        }
        token = signer.token()
        yield [
            Contender(name=name, url=f"http://{LOOPBACK}:{port}/api/v1/school", pid=pid, token=token)
            for name, (port, pid) in started.items()
        ]


@contextmanager
def lists(stack: Stack, directory: Path, *, token: str, school_id: str, class_id: str) -> Generator[list[Contender]]:
    """Our academic service, with row-level security, and Express with Prisma, both asked directly."""
    secret = secrets.token_hex(32)
    path = f"/api/v1/students?class_id={class_id}&limit=100"
    env = {"DATABASE_URL": stack.admin_url, "TOKEN_SECRET": secret}
    with _node("list_a_class.js", directory, **env) as (port, pid):
        peer_token = jwt.encode({"school": school_id, "exp": int(time.time()) + 3600}, secret, algorithm="HS256")
        yield [
            Contender(
                name="homeroom academic",
                url=f"{stack.url('academic')}{path}",
                pid=stack.parts["academic"].process.pid,
                token=token,
            ),
            Contender(name="express + prisma", url=f"http://{LOOPBACK}:{port}{path}", pid=pid, token=peer_token),
        ]


def install(directory: Path) -> None:
    """Npm packages into the bench's folder; Prisma makes its client without the engine that it would fetch."""
    for source in PEERS.rglob("*"):
        target = directory / source.relative_to(PEERS)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(source.read_bytes())
    env = {**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1"}
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent"]
    for argv in (install, ["npx", "--no-install", "prisma", "generate"]):
        finished = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise PartFailed(f"{' '.join(argv)}: {finished.stderr[-2000:]}")


def _write_answers(directory: Path, signer: Signer) -> int:
    """Static answers, and an OpenAPI document that declares them; the port of who will give them."""
    answer = {"responses": {"200": {"description": "OK"}}}
    school = {"school_id": str(new_id()), "name": "Bench School", "time_zone": "Europe/Paris", "version": 1}
    files = {
        "openapi.json": {"openapi": "3.1.0", "paths": {"/api/v1/school": {"get": answer}}},
        "jwks.json": signer.jwks,
        "api/v1/school.json": school,
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return free_port()


@contextmanager
def _our_gateway(directory: Path, upstream: str, redis_url: str) -> Generator[tuple[int, int]]:
    port = free_port()
    env = {
        "HOST": LOOPBACK,
        "PORT": str(port),
        "REDIS_URL": redis_url,
        "JWKS_URL": f"{upstream}/jwks.json",
        "USER_REQUESTS": NO_LIMIT,
        "SCHOOL_REQUESTS": NO_LIMIT,
        "LOG_LEVEL": "WARNING",
        **{f"{name.upper()}_URL": upstream for name in SERVICE_NAMES},
    }
    argv = [sys.executable, "-m", "gateway"]
    with _running("gateway", argv, directory, port, env=env, cwd=ROOT) as pid:
        yield port, pid


@contextmanager
def _nginx(name: str, directory: Path, words: Mapping[str, str]) -> Generator[tuple[int, int]]:
    words = {"DIRECTORY": str(directory), "PORT": str(free_port()), **words}
    text = (PEERS / f"{name}.conf").read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    config = directory / f"{name}.conf"
    config.write_text(text)
    argv = ["nginx", "-c", str(config), "-p", str(directory)]
    with _running(f"nginx-{name}", argv, directory, int(words["PORT"])) as pid:
        yield int(words["PORT"]), pid


@contextmanager
def _node(script: str, directory: Path, **env: str) -> Generator[tuple[int, int]]:
    port = free_port()
    own = {"PORT": str(port), "NODE_ENV": "production", **env}
    with _running(script, ["node", script], directory, port, env=own, cwd=directory) as pid:
        yield port, pid


@contextmanager
def _running(
    name: str,
    argv: Sequence[str],
    directory: Path,
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Generator[int]:
    process = Process(name, list(argv), log=directory / f"{name}.log", env=env or {}, cwd=cwd)
    process.start()
    try:
        wait_until(lambda: process.ensure_running() or _answers(port), 30, f"{name} to answer")
        yield process.pid
    finally:
        process.stop()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/health/ready", timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False
