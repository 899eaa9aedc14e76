"""`python -m gateway`: all it needs to know stands in the environment (see `gateway.settings`)."""

import asyncio
import sys

import uvloop

from gateway.app import create_app
from gateway.listener import serve
from gateway.settings import Settings
from shared.settings import SettingsError, load
from shared.web.server import allow_many_connections


def main() -> int:
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if runner.run(serve(create_app(settings), settings)):
            return 0
    sys.stderr.write(f"Nothing can listen on {settings.host}:{settings.port}; see the log above.\n")
    return 2


sys.exit(main())
