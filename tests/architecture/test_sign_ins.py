"""Who waits to sign in waits in a connection of the gateway: those must not be all that it has."""

from typing import Any

import msgspec
import pytest

from gateway.settings import Settings as GatewaySettings
from services.auth.settings import Settings as AuthSettings

LEFT = 16
"""For refreshing, signing out and all else that is asked of `auth` meanwhile."""


def defaults(settings: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(settings)}


def left_over(connections: int) -> int:
    auth = defaults(AuthSettings)
    return connections - auth["hash_threads"] - auth["hash_waiting"]


def test_a_rush_of_sign_ins_leaves_connections_to_who_is_signed_in() -> None:
    assert left_over(defaults(GatewaySettings)["upstream_connections"]) >= LEFT


@pytest.mark.parametrize("connections", [64, 102])
def test_control_too_few_connections_would_be_noticed(connections: int) -> None:
    assert left_over(connections) < LEFT
