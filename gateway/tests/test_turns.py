"""A school that asks much waits for itself: the others have their turns."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.settings import Settings
from gateway.tests.upstreams import Service, gateway
from shared.identity import Role
from shared.ids import new_id
from shared.places import Places
from shared.testing.tokens import Tokens

SettingsOf = Callable[..., Settings]
STUDENTS = "/api/v1/students"
CONNECTIONS = 2
MANY = 30


class Crowd:
    """Many requests of one school, and, once they wait, one of another."""

    def __init__(self, settings: Settings, tokens: Tokens, service: Service) -> None:
        self._settings, self._tokens = settings, tokens
        self.order: list[str] = []
        self.statuses: dict[str, Counter[int]] = {"noisy": Counter(), "quiet": Counter()}
        self.most_at_once = 0
        self._under_way = 0
        self._is_waited_for = asyncio.Event()
        service.handler = self._slowly(service)

    def _slowly(self, service: Service) -> Any:
        async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
            self._is_waited_for.set()
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            await asyncio.sleep(0.05)
            self._under_way -= 1
            await service.echo(scope, receive, send)

        return answer

    async def come(self) -> "Crowd":
        noisy, quiet = new_id(), new_id()
        async with (
            gateway(self._settings, self._tokens.verifier) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, limits=httpx.Limits(), timeout=60) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(MANY):
                group.create_task(self._ask(client, "noisy", noisy))
            await self._is_waited_for.wait()
            await asyncio.sleep(0.1)
            group.create_task(self._ask(client, "quiet", quiet))
        return self

    async def _ask(self, client: httpx.AsyncClient, who: str, school_id: UUID) -> None:
        headers = self._tokens.headers(Role.TEACHER, school_id=school_id, user_id=new_id())
        answered = await client.get(STUDENTS, headers=headers)
        self.order.append(who)
        self.statuses[who][answered.status_code] += 1


@pytest.fixture
def settings(settings_of: SettingsOf) -> Settings:
    return settings_of(upstream_connections=CONNECTIONS, upstream_waiting=MANY * 4, upstream_wait_s=30)


async def test_one_school_does_not_wait_for_all_of_another(
    settings: Settings, tokens: Tokens, service: Service
) -> None:
    crowd = await Crowd(settings, tokens, service).come()

    # Those that were under way, and one turn of the others for each place.
    assert crowd.order.index("quiet") < MANY / 2
    assert crowd.statuses == {"noisy": {200: MANY}, "quiet": {200: 1}}


async def test_control_in_one_queue_it_waits_for_all_of_them(
    settings: Settings, tokens: Tokens, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Places.take

    async def in_one_queue(self: Places, whose: object, timeout_s: float) -> None:
        await take(self, None, timeout_s)

    monkeypatch.setattr(Places, "take", in_one_queue)

    crowd = await Crowd(settings, tokens, service).come()

    assert crowd.order.index("quiet") >= MANY - CONNECTIONS


async def test_a_school_that_fills_half_of_the_room_is_told_so_alone(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    room = 10
    settings = settings_of(upstream_connections=CONNECTIONS, upstream_waiting=room, upstream_wait_s=30)

    crowd = await Crowd(settings, tokens, service).come()

    assert crowd.statuses["noisy"][503] > 0
    assert crowd.statuses["noisy"][200] >= CONNECTIONS + room // 2
    assert crowd.statuses["quiet"] == {200: 1}


async def test_one_school_leaves_places_to_the_others(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    settings = settings_of(upstream_connections=MANY, upstream_school_connections=2, upstream_wait_s=30)

    crowd = await Crowd(settings, tokens, service).come()

    assert crowd.most_at_once == 2 + 1
    assert crowd.order.index("quiet") < MANY / 2
    assert crowd.statuses == {"noisy": {200: MANY}, "quiet": {200: 1}}


async def test_control_without_a_share_it_takes_all_of_them(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    settings = settings_of(upstream_connections=MANY, upstream_school_connections=MANY, upstream_wait_s=30)

    crowd = await Crowd(settings, tokens, service).come()

    assert crowd.most_at_once >= MANY
