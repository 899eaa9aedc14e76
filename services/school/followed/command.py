"""`python -m services.school rebuild-today [--school ID]`: one JSON line for each school."""

import argparse
import sys
from collections.abc import AsyncIterable
from uuid import UUID

import msgspec

from services.school.caches import KINDS
from services.school.followed.rebuild import rebuild, school_ids
from services.school.settings import Settings
from shared.cache import Cache
from shared.clients import InternalClient
from shared.commands import Verb, VerbFailed
from shared.database import Database
from shared.problems import Unavailable


async def rebuild_today(settings: Settings, arguments: argparse.Namespace) -> None:
    """Raises VerbFailed for a school that is not here, and when one of the owners does not answer."""
    named: UUID | None = arguments.school
    one_connection = msgspec.structs.replace(settings, database_pool_min=0, database_pool_max=1)
    owners = InternalClient("school", secret=settings.service_secret, auth_url=settings.auth_url)
    cache = Cache("school", settings, KINDS)
    async with Database(one_connection) as database, cache, owners:
        database.tell_of_changes(cache.drop)
        async for school_id in _only(named) if named else school_ids(database):
            try:
                rebuilt = await rebuild(database, owners, settings, school_id)
            except Unavailable as error:
                raise VerbFailed(f"school {school_id}: {error.detail} Run it again; nothing was lost.") from None
            if rebuilt is None:
                raise VerbFailed(f"There is no school {school_id}.")
            sys.stdout.write(msgspec.json.encode(rebuilt).decode() + "\n")
            sys.stdout.flush()


async def _only(school_id: UUID) -> AsyncIterable[UUID]:
    yield school_id


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--school", type=UUID, help="only this one; all of them when left out")


REBUILD_TODAY = Verb(
    name="rebuild-today",
    help="make the read models of today's dashboards anew, while everything runs",
    run=rebuild_today,
    add_arguments=_arguments,
)
