"""Requests that schemathesis makes up from an OpenAPI document, sent to a service in this process.

Schemathesis is not asynchronous: it works in a thread of its own and hands each request over to the test's loop.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contracts.hostile import faults

URL: Final = "http://service.test"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES: Final[Mapping[GenerationMode, int]] = {GenerationMode.POSITIVE: 10, GenerationMode.NEGATIVE: 5}

load_all_checks()
schemathesis.openapi.format("time-local", strategies.times().map(lambda time: time.isoformat()))


@schemathesis.serializer("application/zip")
def _as_it_is(_: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")


class Explorer:
    """The same requests in every run."""

    def __init__(self, document: Mapping[str, Any], client: httpx.AsyncClient) -> None:
        schema = schemathesis.openapi.from_dict(dict(document))
        found = [result.ok() for result in schema.get_all_operations()]
        self._operations = {operation.definition.raw["operationId"]: operation for operation in found}
        self._client = client
        self._loop = asyncio.get_running_loop()

    async def explore(
        self, operation_id: str, *, path: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, list[str]]:
        """How many requests were sent, and what was wrong with the answers."""
        return await asyncio.to_thread(self._explore, operation_id, dict(path), dict(headers))

    def _explore(self, operation_id: str, path: dict[str, str], headers: dict[str, str]) -> tuple[int, list[str]]:
        told: list[str] = []
        sent = 0
        for mode, examples in EXAMPLES.items():
            strategy = self._operations[operation_id].as_strategy(mode, path_parameters=path)

            @settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def ask(case: schemathesis.Case) -> None:
                nonlocal sent
                answer = self._sent(case, headers)
                sent += 1
                told.extend(f"{operation_id}: {fault}: {_shown(answer)}" for fault in faults(answer))
                try:
                    case.validate_response(answer, checks=CHECKS)
                except FailureGroup as group:
                    told.extend(f"{operation_id}: {error}: {_shown(answer)}" for error in group.exceptions)

            try:
                ask()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, f"{operation_id} cannot be asked"
        return sent, told

    def _sent(self, case: schemathesis.Case, headers: dict[str, str]) -> httpx.Response:
        prepared = requests.Request(**case.as_transport_kwargs(base_url=URL, headers=headers)).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        request = self._client.build_request(
            str(prepared.method), str(prepared.url), headers=dict(prepared.headers), content=body
        )
        return asyncio.run_coroutine_threadsafe(self._client.send(request), self._loop).result(60)


def _shown(answer: httpx.Response) -> str:
    asked = f"{answer.request.method} {answer.request.url} {answer.request.content[:300]!r}"
    return f"{asked} → {answer.status_code} {answer.text[:300]}"
