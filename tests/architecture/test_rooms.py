"""Nothing is forgotten when a room is added: its layers are held, and what it offers can be reached."""

import tomllib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gateway.routes import API, PREFIXES
from shared.settings import load
from shared.web.app import litestar_of
from tools.dumps import EXAMPLE_ENV
from tools.topology import SERVICE_NAMES


def rooms() -> set[str]:
    """Each folder of a service that speaks or listens, or holds a layer."""
    layers = ("schemas", "rules", "queries", "actions", "routes", "reactions")
    found = {path.parent for layer in layers for path in Path("services").glob(f"*/*/{layer}.py")}
    return {".".join(folder.parts) for folder in found if folder.name != "tests"}


def contracted() -> set[str]:
    return {room for each in import_linter()["contracts"] for room in each.get("containers", ())}


def import_linter() -> Any:
    return tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]


def test_the_layers_of_every_room_are_held() -> None:
    assert rooms() - contracted() == set(), "add them to the containers of the layers contract in pyproject.toml"


def without_contract(config: Any, package: str) -> list[str]:
    """Where in the configuration of import-linter a service or the gateway is missing."""
    found = [] if package in config["root_packages"] else ["root_packages"]
    lists = {
        f"{key} of “{contract['name']}”": contract[key]
        for contract in config["contracts"]
        for key in ("modules", "forbidden_modules")
        if "services.auth" in contract.get(key, ())
    }
    return found + [told for told, packages in lists.items() if package not in packages]


@pytest.mark.parametrize("package", [*(f"services.{name}" for name in SERVICE_NAMES), "gateway"])
def test_every_package_is_held_apart(package: str) -> None:
    assert without_contract(import_linter(), package) == [], "add it there, in pyproject.toml"


def test_control_a_forgotten_service_is_seen() -> None:
    assert len(without_contract(import_linter(), "services.nobody")) == 3


def unreachable(service: str, paths: Iterable[str]) -> list[str]:
    """Public paths that the gateway would not pass on to this service."""
    public = [path for path in paths if path.startswith(API)]
    return [path for path in public if path.removeprefix(API).partition("/")[0] not in PREFIXES[service]]


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_the_gateway_knows_every_public_path(service: str) -> None:
    settings = load(import_module(f"services.{service}.settings").Settings, EXAMPLE_ENV)
    app = import_module(f"services.{service}.app").create_app(settings)
    paths = {route.path for route in litestar_of(app).routes}

    assert any(path.startswith(API) for path in paths)
    assert unreachable(service, paths) == [], "add the prefix to PREFIXES in gateway/routes.py"


def test_control_a_forgotten_prefix_is_seen() -> None:
    paths = ["/api/v1/rooms", "/api/v1/nowhere/{id}", "/internal/roster"]

    assert unreachable("school", paths) == ["/api/v1/nowhere/{id}"]


def test_control_a_forgotten_room_is_seen() -> None:
    assert rooms() - (contracted() - {"services.school.rooms"}) == {"services.school.rooms"}
