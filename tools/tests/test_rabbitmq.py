import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aio_pika
import psutil
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue

from tools.embedded.processes import PartFailed, wait_until
from tools.embedded.rabbitmq import EmbeddedRabbitMQ
from tools.stack import Stack


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    server = EmbeddedRabbitMQ(tmp_path_factory.mktemp("broker") / "rabbitmq")
    server.start()
    yield server
    server.stop()


def processes_of(directory: object) -> list[str]:
    """The command lines of those whose home it is."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("HOME") == str(directory)
    ]


def test_a_second_node_runs_beside_the_first_and_stopping_it_leaves_no_process(broker, tmp_path):
    second = EmbeddedRabbitMQ(tmp_path)
    second.start()
    running = " ".join(processes_of(tmp_path))
    vhosts = second.ctl("list_vhosts", "--no-table-headers")

    second.stop()

    assert vhosts.strip() == "/"
    assert "epmd" in running
    assert "beam" in running
    wait_until(lambda: not processes_of(tmp_path), 30, "the node's helpers to be gone")
    assert broker.process.is_running


def test_the_stack_chooses_a_node_of_its_own(tmp_path):
    class BackingServers(Stack):
        def _start_own(self) -> None:
            pass

    with BackingServers(tmp_path, bus="auto") as stack:
        node = stack.parts["rabbitmq"].process
        asyncio.run(publish(stack.addresses.bus_url))

    assert not node.is_running


def test_messages_survive_kill_9(broker):
    # RabbitMQ 3.10 writes the name of a new quorum queue to disk half a second after declaring it, or later when busy.
    asyncio.run(declare(broker.url))
    broker.stop()
    broker.start()
    asyncio.run(publish(broker.url))

    broker.kill()
    broker.start()

    assert asyncio.run(fetch(broker.url)) == b"kept"


def test_guest_does_not_exist(broker):
    users = broker.ctl("list_users", "--no-table-headers").splitlines()

    assert [line.split()[0] for line in users] == ["homeroom"]


def test_only_the_loopback_interface_is_listened_on(broker):
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(broker.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_what_ctl_complains_of_is_told(broker):
    with pytest.raises(PartFailed, match="rabbitmqctl frobnicate failed"):
        broker.ctl("frobnicate")


@asynccontextmanager
async def kept(url: str) -> AsyncGenerator[tuple[AbstractChannel, AbstractQueue]]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        yield channel, await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})


async def declare(url: str) -> None:
    async with kept(url):
        pass


async def publish(url: str) -> None:
    async with kept(url) as (channel, _):
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")


async def fetch(url: str) -> bytes:
    async with kept(url) as (_, queue):
        message = await queue.get(timeout=60)
        await message.ack()
        return message.body
