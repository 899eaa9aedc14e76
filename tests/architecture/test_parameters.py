"""Who is told what is wrong with a parameter finds its name there, as they sent it."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from litestar import Litestar, get
from litestar.params import FromPath, QueryParameter

from services.school.dates import FirstDay
from shared.settings import load
from shared.web.access import route_handlers
from shared.web.app import litestar_of
from tools.dumps import EXAMPLE_ENV
from tools.topology import SERVICE_NAMES


def app_of(service: str) -> Litestar:
    settings = load(import_module(f"services.{service}.settings").Settings, EXAMPLE_ENV)
    return litestar_of(import_module(f"services.{service}.app").create_app(settings))


def misnamed(app: Litestar) -> Iterator[str]:
    """Litestar names parameters in its errors as the function does; the underscore of `from_` is taken off again."""
    for handler in route_handlers(app):
        for name, field in handler.parsed_fn_signature.parameters.items():
            parameter = field.kwarg_definition
            if isinstance(parameter, QueryParameter) and parameter.name not in {None, name.rstrip("_")}:
                yield f"{handler.operation_id}: {name} for {parameter.name}"


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_query_parameters_are_named_as_they_are_sent(service: str) -> None:
    assert list(misnamed(app_of(service))) == []


def test_control_another_name_is_found() -> None:
    @get("/days/{day_id:int}", operation_id="days")
    async def days(day_id: FromPath[int], first: FirstDay = None, from_: FirstDay = None) -> None: ...

    assert list(misnamed(Litestar([days]))) == ["days: first for from"]
