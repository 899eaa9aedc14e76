"""Every operation that only reads can be answered by a replica, whose statements may change nothing."""

from collections.abc import AsyncGenerator
from importlib import import_module

import pytest

from shared.identity import Verifier
from shared.replica import READS
from shared.testing.http import client_of
from shared.testing.tokens import Tokens
from shared.web.app import litestar_of
from tests.contracts.hostile import Hostile, honest_request, sent
from tests.contracts.test_never_5xx import callers
from tests.operations import Operation
from tests.replica.conftest import Pair
from tests.whole_house import FilledSchool, House, open_house

NOTHING_TO_READ = {"stream_inbox"}


@pytest.fixture(scope="module")
async def house(pair: Pair, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(pair.stack, tokens) as house:
        yield house


@pytest.fixture(scope="module")
async def school(house: House) -> FilledSchool:
    return await FilledSchool(house, "QREAD").fill()


def counts() -> dict[tuple[str, str], float]:
    return {
        (sample.labels["answered_by"], sample.labels["reason"]): sample.value
        for metric in READS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def reads(operation: Operation) -> bool:
    return operation.method == "GET" and operation.access == "permission"


async def test_every_operation_that_reads_is_answered_by_the_replica(
    pair: Pair, house: House, school: FilledSchool
) -> None:
    verifier: Verifier = litestar_of(house.services["auth"].app).state.verifier
    told: dict[str, str] = {}
    for name, service in house.services.items():
        settings = pair.settings(import_module(f"services.{name}.settings").Settings, name)
        app = import_module(f"services.{name}.app").create_app(settings, verifier)
        async with client_of(app) as client:
            for operation in filter(reads, service.operations):
                if operation.operation_id in NOTHING_TO_READ:
                    continue
                good = honest_request(operation, school.values())
                who = await callers(operation, school)
                pair.caught_up()
                request = Hostile(told="", method="GET", url=operation.url(good.path), headers={}, content=None)
                for _, headers in who:
                    await sent(client, request, headers)  # a floor is taken
                    pair.caught_up()
                    before = counts()
                    answer = await sent(client, request, headers)
                    after = counts()
                    fresh = {where: after[where] - before.get(where, 0) for where in after}
                    if answer.status_code >= 500 or any(count for (by, _), count in fresh.items() if by == "primary"):
                        told[operation.operation_id] = f"{answer.status_code} {answer.text[:200]} {fresh}"

    assert not told, told
    assert counts()["replica", ""] > 30
