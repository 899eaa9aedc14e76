"""The verbs of a service: `python -m services.<service> serve | api | worker | migrate | openapi | dead-letters`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec
import structlog
import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp

from shared import logs, settings, telemetry
from shared.bus import bus_at
from shared.database import Database
from shared.migrate import MigrateSettings, migrate
from shared.settings import ServiceSettings, SettingsError
from shared.web.app import health_app, litestar_of
from shared.web.edge import Edge
from shared.web.openapi import openapi_document
from shared.web.server import Server, allow_many_connections
from shared.worker import Worker

log = structlog.get_logger()

WORKER_POOL_WAIT_S = 30.0
"""Nobody waits for a worker as one waits for an answer."""

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


class VerbFailed(Exception):
    """A verb could not do what it was asked for: one sentence for whoever asked."""


def _no_arguments(_: argparse.ArgumentParser) -> None:
    pass


class Verb(msgspec.Struct, Generic[SettingsT], frozen=True, kw_only=True):
    """A verb that only one service has. It ends by itself; `run` may raise VerbFailed."""

    name: str
    help: str
    run: Callable[[SettingsT, argparse.Namespace], Awaitable[None]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments


class Service(msgspec.Struct, Generic[SettingsT], frozen=True, kw_only=True):
    name: str
    settings: type[SettingsT]
    create_app: Callable[[SettingsT], ASGIApp]
    create_worker: Callable[[SettingsT, Database], Worker]
    verbs: Sequence[Verb[SettingsT]] = ()


def run(
    name: str,
    *,
    settings: type[SettingsT],
    create_app: Callable[[SettingsT], ASGIApp],
    create_worker: Callable[[SettingsT, Database], Worker],
    verbs: Sequence[Verb[SettingsT]] = (),
    argv: Sequence[str] | None = None,
) -> None:
    """Run the verb on the command line; leaves with 2 and one sentence when a setting is missing or unreadable.

    `verbs` are those that no other service has; one that fails leaves with 1 and one sentence.
    """
    service = Service(name=name, settings=settings, create_app=create_app, create_worker=create_worker, verbs=verbs)
    arguments = _parser(name, verbs).parse_args(argv)
    try:
        _run_verb(service, arguments)
    except SettingsError as error:
        sys.exit(_refuse(f"{name}: {error}"))
    except VerbFailed as error:
        _refuse(f"{name}: {error}")
        sys.exit(1)


def _run_verb(service: Service[Any], arguments: argparse.Namespace) -> None:
    own = {verb.name: verb for verb in service.verbs}
    match arguments.verb:
        case verb if verb in own:
            asyncio.run(_run_own(service, own[verb], arguments))
        case "migrate":
            migrate(service.name, owner_url=settings.load(MigrateSettings).database_owner_url)
        case "openapi":
            sys.stdout.write(openapi_text(service.create_app(settings.load(service.settings))))
        case "dead-letters":
            asyncio.run(_dead_letters(service, arguments))
        case verb:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(service, api=verb in {"serve", "api"}, worker=verb in {"serve", "worker"}))


def openapi_text(app: ASGIApp) -> str:
    """The OpenAPI document of a service, as it is committed."""
    document = msgspec.json.encode(openapi_document(litestar_of(app)), order="sorted")
    return msgspec.json.format(document, indent=2).decode() + "\n"


def _parser(name: str, own: Sequence[Verb[Any]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="the API and the worker in one process")
    verbs.add_parser("api", help="the API alone")
    verbs.add_parser("worker", help="events and due work alone")
    verbs.add_parser("migrate", help="bring the schema up to date")
    verbs.add_parser("openapi", help="print the OpenAPI document")
    dead = verbs.add_parser("dead-letters", help="events that could not be handled").add_subparsers(
        dest="action", required=True
    )
    dead.add_parser("list", help="one JSON line each")
    replay = dead.add_parser("replay", help="hand them over again; what had its effect has it once")
    replay.add_argument("ids", nargs="*", help="ids from the list; all of them when left out")
    for verb in own:
        verb.add_arguments(verbs.add_parser(verb.name, help=verb.help))
    return parser


async def _run_own(service: Service[Any], verb: Verb[Any], arguments: argparse.Namespace) -> None:
    loaded: ServiceSettings = settings.load(service.settings)
    logs.set_up_logs(service.name, loaded.log_level)
    await verb.run(loaded, arguments)


async def _serve(service: Service[Any], *, api: bool, worker: bool) -> None:
    """Run until SIGTERM or SIGINT: say that we stop, keep accepting for a moment, drain, close."""
    loaded: ServiceSettings = settings.load(service.settings)
    stopping = asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, stopping.set)
    parts: list[asyncio.Task[None]] = []
    if api:
        app = service.create_app(loaded)
        parts.append(asyncio.create_task(_listen(app, litestar_of(app), loaded, stopping)))
    if worker:
        parts.append(asyncio.create_task(_run_worker(service, loaded, stopping, is_alone=not api)))
    ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await asyncio.gather(*parts)
    await asyncio.gather(*ended)


async def _listen(app: ASGIApp, inside: Litestar, loaded: ServiceSettings, stopping: asyncio.Event) -> None:
    allow_many_connections()
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] (Litestar types ASGI more narrowly than uvicorn)
        host=loaded.host,
        port=loaded.port,
        http="httptools",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=round(loaded.stop_grace_s),
    )
    server = Server(config, on_close=app.on_close if isinstance(app, Edge) else None)
    # uvicorn would take the signals for itself; here they stop the worker too.
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    await asyncio.wait({serving, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    inside.state["draining"] = True
    if isinstance(app, Edge):
        app.is_draining = True
    if not serving.done():
        await asyncio.sleep(loaded.drain_s)
    server.should_exit = True
    await serving
    if not server.started:
        raise SystemExit(_refuse(f"Nothing can listen on {loaded.host}:{loaded.port}; see the log above."))


async def _run_worker(
    service: Service[Any], loaded: ServiceSettings, stopping: asyncio.Event, *, is_alone: bool
) -> None:
    logs.set_up_logs(service.name, loaded.log_level)
    telemetry.set_up_tracing(service.name, loaded)
    pool = msgspec.structs.replace(
        loaded, database_pool_max=loaded.worker_pool_max, database_pool_wait_s=WORKER_POOL_WAIT_S
    )
    async with Database(pool, pool="worker") as database:
        working = asyncio.create_task(service.create_worker(loaded, database).run())
        parts = {working, asyncio.create_task(stopping.wait())}
        listening: asyncio.Task[None] | None = None
        if is_alone and loaded.worker_port:
            listening = asyncio.create_task(_answer_for_worker(database, loaded, stopping))
            parts.add(listening)
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        if listening:
            await listening


async def _answer_for_worker(database: Database, loaded: ServiceSettings, stopping: asyncio.Event) -> None:
    """Nobody sends work to this port, so there is nothing to drain."""
    app = health_app(database)
    await _listen(app, app, msgspec.structs.replace(loaded, port=loaded.worker_port, drain_s=0.0), stopping)


async def _dead_letters(service: Service[Any], arguments: argparse.Namespace) -> None:
    loaded: ServiceSettings = settings.load(service.settings)
    bus = bus_at(loaded.bus_url)
    try:
        letters = await bus.dead_letters(service.name)
        if arguments.action == "list":
            for letter in letters:
                sys.stdout.write(msgspec.json.encode({"id": letter.id, "type": letter.type}).decode() + "\n")
        else:
            replayed = await bus.replay(service.name, arguments.ids or [letter.id for letter in letters])
            sys.stdout.write(f"{replayed} replayed.\n")
    finally:
        await bus.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop  # noqa: PLC0415 (tests and one-off verbs run on asyncio's own loop)

    return uvloop.new_event_loop


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 2
