"""Stopping for certain: loops without an end ask here once in each round."""

import asyncio


def stop_if_cancelled() -> None:
    """Raise CancelledError when this task was asked to stop and something that it called has swallowed that.

    `asyncio.wait_for` does so before Python 3.12 when what it waits for is done in the same moment; redis-py, aio-pika
    and psycopg use it. Who then goes on in its loop is waited for in vain, for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
