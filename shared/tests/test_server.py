"""What becomes, when a server closes, of who was let in last."""

import asyncio
import socket
from typing import Any

import uvicorn

from shared.web.server import Server

ASKED = b"POST / HTTP/1.1\r\nHost: service.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def configured() -> uvicorn.Config:
    return uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)


async def started(server: uvicorn.Server) -> asyncio.Task[None]:
    # As `shared.commands` does it: `serve` would take the signals of this process for itself.
    serving = asyncio.create_task(server._serve())  # pyright: ignore[reportPrivateUsage]
    while not server.started:
        await asyncio.sleep(0.01)
    return serving


async def answer_to_who_was_let_in_last(kind: type[uvicorn.Server]) -> bytes:
    """Connected before the server closes, asking when it has begun to."""
    server = kind(configured())
    server.last_ask_s = 2.0  # pyright: ignore[reportAttributeAccessIssue] (uvicorn's own knows no such time)
    serving = await started(server)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.1)  # it is let in
    server.should_exit = True
    await asyncio.sleep(0.25)  # uvicorn looks ten times a second
    try:
        writer.write(ASKED)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        await serving


async def test_who_was_let_in_last_is_answered() -> None:
    assert (await answer_to_who_was_let_in_last(Server)).startswith(b"HTTP/1.1 204")


async def test_control_uvicorn_alone_cuts_who_was_let_in_last() -> None:
    assert await answer_to_who_was_let_in_last(uvicorn.Server) == b""


async def test_who_waits_at_the_door_is_answered() -> None:
    assert (await answer_to_who_waits_at_the_door(Server)).startswith(b"HTTP/1.1 204")


async def test_control_uvicorn_alone_cuts_who_waits_at_the_door() -> None:
    assert await answer_to_who_waits_at_the_door(uvicorn.Server) == b""


async def answer_to_who_waits_at_the_door(kind: type[uvicorn.Server]) -> bytes:
    """Asking at the very moment in which it closes: the loop has had no turn to let them in."""
    server = kind(configured())
    serving = await started(server)
    port = server.servers[0].sockets[0].getsockname()[1]
    client = socket.socket()
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.sendall(ASKED)
    await server.shutdown()
    try:
        return await asyncio.to_thread(client.recv, 1000)
    except ConnectionError:
        return b""
    finally:
        client.close()
        serving.cancel()


async def test_nobody_is_let_in_any_more_when_streams_are_ended() -> None:
    refused: list[bool] = []

    def on_close() -> None:
        refused.append(all(not each.is_serving() for each in server.servers))

    server = Server(configured(), on_close=on_close)
    serving = await started(server)
    server.should_exit = True
    await serving

    assert refused == [True]
