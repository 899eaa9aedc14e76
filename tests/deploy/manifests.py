"""What the checks of Compose and of Kubernetes share: the settings of each app, the budget, made-up secrets."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from services.academic.worker import IMPORT_POOL
from shared.http_wire import PoolLimits
from shared.settings import ProcessSettings, ServiceSettings, SettingsError, load
from tools.topology import GATEWAY, SERVICES, Service

ROOT = Path(__file__).parents[2]
NGINX = ROOT / "deploy/nginx/nginx.conf"
APPS = {service.name: service for service in (*SERVICES, GATEWAY)}
CONNECTIONS = 50
"""The house has fewer at any time."""
LISTENER = 1
LEAST_MIB = {"api": 256, "worker": 256, "migrate": 128, "migration": 128}
"""A process of ours holds 80 MiB before anybody asks it for anything; a roster may have 26 MiB."""
CLIENT_IP_HEADER = "x-client-ip"
"""In which a gateway says whom it saw (gateway/proxy.py); what clients say in it is dropped."""

Complaints = Iterable[str]
Manifest = dict[str, Any]
Check = Callable[[Any], Complaints]


def settings_type(app: str) -> type[ProcessSettings]:
    module = "gateway.settings" if app == "gateway" else f"services.{app}.settings"
    found: type[ProcessSettings] = importlib.import_module(module).Settings
    return found


def settings_complaints(name: str, app: str, env: Mapping[str, str]) -> Complaints:
    """Whether a process of `app` would start with `env`, and understand all of it."""
    type_ = settings_type(app)
    known = {field.upper() for field in type_.__struct_fields__}
    for variable in sorted(env.keys() - known):
        yield f"{name}: no setting is called {variable}"
    try:
        load(type_, env)
    except SettingsError as error:
        yield f"{name}: {error}"


def connections(app: str, kind: str, env: Mapping[str, str]) -> int:
    """How many connections to Postgres one process may have."""
    if app == "gateway":
        return 0
    if kind == "migrate":
        return 1
    settings = load(settings_type(app), env)
    assert isinstance(settings, ServiceSettings)
    if kind == "api":
        # What goes to the replica is a part of it (ADR 0202).
        return settings.database_pool_max
    return settings.worker_pool_max + LISTENER + (IMPORT_POOL if app == "academic" else 0)


def grace_s(app: str, env: Mapping[str, str]) -> float:
    """How long a process may take from SIGTERM to its end."""
    settings = load(settings_type(app), env)
    return settings.drain_s + settings.stop_grace_s


def drains_longer_than_connections_idle(app: str, env: Mapping[str, str]) -> bool:
    """Otherwise a process closes a connection on which somebody is just asking."""
    idle_s = seconds(nginx_says("keepalive_timeout", within="upstream"))
    return load(settings_type(app), env).drain_s > max(PoolLimits().idle_s, idle_s)


def nginx_says(directive: str, within: str = "") -> str:
    """The value of a directive that stands once in nginx.conf, or once within a block of http."""
    text = NGINX.read_text()
    if within:
        text = text.partition(f"    {within} ")[2].partition("\n    }")[0]
    (value,) = re.findall(rf"^\s*{re.escape(directive)} ([^;]+);", text, re.MULTILINE)
    return value


def make_secrets(target: Path) -> dict[str, str]:
    """What an operator's secrets file would hold."""
    command = [sys.executable, ROOT / "deploy/make-secrets.py", target]
    subprocess.run(command, check=True, capture_output=True)
    return dict(line.split("=", 1) for line in target.read_text().splitlines())


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """As Compose does it: `${NAME}`, `${NAME:-default}`, `${NAME:?complaint}` and `$$`."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        value = values.get(match["name"], "")
        if value or match["how"] is None:
            return value
        assert match["how"] == ":-", f"{match['name']} is not given"
        return match["rest"]

    return re.sub(r"\$\$|\$\{(?P<name>[A-Z0-9_]+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}", replace, text)


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m)", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return float(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def mib(text: str) -> float:
    """In Docker's letters, or in those of Kubernetes."""
    number, unit = re.fullmatch(r"([0-9.]+)([KMG])i?", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return float(number) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit]


def size_mib(tmpfs: str) -> float | None:
    """How large a tmpfs of Compose may grow, which counts as memory; None: as large as it likes."""
    found = re.search(r"[:,]size=([0-9]+[kmg])", tmpfs)
    return mib(found[1].upper()) if found else None


def calls_of(name: str) -> frozenset[str]:
    from tools.topology import CALLS  # noqa: PLC0415

    return frozenset(call.callee for call in CALLS if call.caller == name)


def service_of(name: str) -> Service:
    return APPS[name]


def copy_of(manifest: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(manifest))
