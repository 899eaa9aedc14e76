"""Academic's API with the keys of a test, out of `KEYS`. `python -m tests.chaos.keyed_api api`

With `SILENT` it falls silent as soon as a transaction is committed, before anybody is told: it makes that file, and
waits to be killed.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.types import ASGIApp

from services.academic.app import create_app
from services.academic.settings import Settings
from services.academic.worker import create_worker
from shared.commands import run
from shared.identity import Verifier
from shared.transactions import Tx


async def keys() -> Mapping[str, Any]:
    return msgspec.json.decode(os.environ["KEYS"])


async def fall_silent(_: Tx) -> None:
    os.close(os.open(os.environ["SILENT"], os.O_CREAT))
    await asyncio.Event().wait()


def app_with_keys(settings: Settings) -> ASGIApp:
    return create_app(settings, Verifier(keys))


def main() -> None:
    if "SILENT" in os.environ:
        Tx.run_callbacks = fall_silent
    run("academic", settings=Settings, create_app=app_with_keys, create_worker=create_worker)


if __name__ == "__main__":
    main()
