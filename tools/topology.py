"""THE list of what runs, on which port, what it needs and whom it calls.

The launcher starts from it; tests compare it with the gateway's routes and with real traces.
"""

from typing import Literal

import msgspec

Need = Literal["postgres", "redis", "bus", "object store", "virus scanner", "smtp"]

DATABASE = "homeroom"
GATEWAY_PORT = 8000


class Service(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    port: int
    needs: frozenset[Need] = frozenset({"postgres", "redis", "bus"})


class Call(msgspec.Struct, frozen=True):
    """`caller` asks `callee` over HTTP and waits for the answer; everything else travels as events."""

    caller: str
    callee: str
    purpose: str


SERVICES = (
    Service(name="auth", port=3001),
    Service(name="school", port=3002),
    Service(name="academic", port=3003, needs=frozenset({"postgres", "redis", "bus", "object store"})),
    Service(
        name="communication", port=3004, needs=frozenset({"postgres", "redis", "bus", "object store", "virus scanner"})
    ),
    Service(name="notification", port=3005, needs=frozenset({"postgres", "redis", "bus", "smtp"})),
)
SERVICE_NAMES = tuple(service.name for service in SERVICES)
GATEWAY = Service(name="gateway", port=GATEWAY_PORT, needs=frozenset({"redis"}))

CALLS = (
    *(Call("gateway", name, "public requests") for name in SERVICE_NAMES),
    *(Call(name, "auth", "the keys that sign tokens") for name in (*SERVICE_NAMES, "gateway") if name != "auth"),
    Call("school", "auth", "service tokens"),
    Call("school", "academic", "snapshots, when the read models of today are made anew"),
    Call("school", "communication", "snapshots of what there is to read, likewise"),
    Call("school", "notification", "snapshots of what became of mails, likewise"),
    Call("academic", "auth", "service tokens"),
    Call("academic", "school", "districts, schools and sessions of an import"),
)
