"""A database of 200 schools, and services that answer from it and tell their plans."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg
from psycopg import Rollback

from shared import clock
from shared.database import Database, Tx
from shared.identity import Role
from shared.testing.http import client_of
from shared.testing.stack import TEMPLATE, Stack
from shared.testing.tokens import Tokens
from tests.plans.explained import Plan, explain_for, faults, recorded, sizes
from tests.plans.fill import GUARDIAN, OURS, STUDENT, TEACHER, USER, an_id, fill, school_id

__all__ = ["OURS", "PLAN_CACHE_MODES", "TODAY", "Crowded", "plans_of"]

PLAN_CACHE_MODES = ("force_custom_plan", "force_generic_plan")
TODAY = clock.now().date()


def person_of(role: str) -> UUID | None:
    return {
        Role.TEACHER: an_id(TEACHER, OURS, 1),
        Role.GUARDIAN: an_id(GUARDIAN, OURS, 1),
        Role.STUDENT: an_id(STUDENT, OURS, 1),
    }.get(role)


class Crowded:
    """A database of 200 schools; `explained` names the service whose plans are to be heard."""

    def __init__(self, stack: Stack, tokens: Tokens) -> None:
        self.stack, self.tokens = stack, tokens
        self.admin_url = urlsplit(stack.admin_url)._replace(path=f"{urlsplit(stack.admin_url).path}_crowded").geturl()
        self.name = self.admin_url.rpartition("/")[2]

    def settings(self, service: str) -> Any:
        url = urlsplit(self.stack.database_url(service))._replace(path=f"/{self.name}").geturl()
        type_ = import_module(f"services.{service}.settings").Settings
        return self.stack.settings(type_, service, database_url=url, database_pool_min=0)

    def make(self) -> None:
        with psycopg.connect(self.stack.admin_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.name}" TEMPLATE {TEMPLATE}')
        fill(self.admin_url, today=TODAY)
        self.rows_of = sizes(self.admin_url)

    def forget(self) -> None:
        with psycopg.connect(self.stack.admin_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    @asynccontextmanager
    async def client(self, service: str, plan_cache_mode: str) -> AsyncGenerator[httpx.AsyncClient]:
        explain_for(self.admin_url, f"{service}_app", plan_cache_mode=plan_cache_mode)
        app = import_module(f"services.{service}.app").create_app(self.settings(service), self.tokens.verifier)
        async with client_of(app) as client:
            yield client

    def headers(self, role: str, **claims: object) -> dict[str, str]:
        return self.tokens.headers(
            role, school_id=school_id(OURS), user_id=an_id(USER, OURS, 1), person_id=person_of(role), **claims
        )

    @asynccontextmanager
    async def database(self, service: str, plan_cache_mode: str) -> AsyncGenerator[Database]:
        explain_for(self.admin_url, f"{service}_app", plan_cache_mode=plan_cache_mode)
        async with Database(self.settings(service)) as database:
            yield database

    @asynccontextmanager
    async def undone(self, service: str, plan_cache_mode: str, *, school_id: UUID | None = None) -> AsyncGenerator[Tx]:
        """A transaction that leaves everything as it was, for the next to find."""
        async with self.database(service, plan_cache_mode) as database:
            with suppress(Rollback):
                async with database.transaction(school_id=school_id) as tx:
                    yield tx
                    raise Rollback

    def faults(self, service: str, plans: list[Plan], *, told: Sequence[str], walks: bool = False) -> list[str]:
        """Of plans that were recorded. Of each of `told` there must be a statement: what was not heard has no fault."""
        unheard = [each for each in told if not any(each in plan.statement for plan in plans)]
        assert not unheard, unheard
        return [fault for plan in plans for fault in faults(plan, rows_of=self.rows_of, schema=service, walks=walks)]


async def plans_of(client: httpx.AsyncClient, headers: dict[str, str], path: str) -> list[Plan]:
    with recorded() as plans:
        answer = await client.get(f"/api/v1{path}", headers=headers)
    assert answer.status_code == 200, (path, answer.text)
    return plans
