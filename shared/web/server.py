"""uvicorn, closing in an order in which nobody who came before is left without an answer."""

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn


def allow_many_connections() -> None:
    """Take as many open files as the machine grants: most give a process 1,024 until it asks, and every live stream is
    a connection, of the gateway two.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(uvicorn.Server):
    """`on_close` is called when nobody is let in any more: it ends what would not end by itself, such as streams."""

    last_ask_s = 0.5
    """So long whoever was let in last has to ask: uvicorn alone would cut who was let in and not yet read, and a proxy
    in front of us does not send a POST again."""

    def __init__(self, config: uvicorn.Config, *, on_close: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._on_close = on_close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waiting = [each for server in self.servers for door in server.sockets for each in _at(door)]
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        if self._on_close:
            self._on_close()
        loop = asyncio.get_running_loop()
        for each in waiting:
            await loop.connect_accepted_socket(self._protocol, each)
        await asyncio.sleep(self.last_ask_s)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes them."""
        kind: Any = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _at(door: Any) -> list[socket.socket]:
    """Who has connected and was not let in yet: the kernel would cut them with the listening socket."""
    let_in: list[socket.socket] = []
    with socket.socket(fileno=os.dup(door.fileno())) as own, suppress(BlockingIOError):
        own.setblocking(False)
        while True:
            let_in.append(own.accept()[0])
            let_in[-1].setblocking(False)
    return let_in
