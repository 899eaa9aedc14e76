"""Making and retiring keys, and tokens for services."""

import msgspec

from services.auth.keys import queries, rules
from services.auth.keys.schemas import ServiceToken, ServiceTokenRequest
from services.auth.kit import Kit
from shared import clock, identity
from shared.database import Database
from shared.problems import Unauthenticated


async def keep_keys(database: Database, kit: Kit) -> None:
    """There is a key, none is older than its life for long, and none is kept that nothing needs."""
    now = clock.now()
    async with database.transaction() as tx:
        await queries.lock_keys(tx)
        keys = await queries.signing_keys(tx)
        if rules.needs_new_key(keys, now):
            await queries.add_signing_key(tx, kit.signer.new_key(now))
        await queries.retire_keys(tx, rules.retired_before(keys, now))


async def issue_service_token(database: Database, kit: Kit, asked: ServiceTokenRequest) -> ServiceToken:
    """Raises Unauthenticated."""
    known = msgspec.json.decode(kit.settings.service_secrets, type=dict[str, str])
    if not rules.is_secret_of(asked.service, asked.secret, known):
        raise Unauthenticated("Unknown service or secret.")
    key, seconds = await kit.signer.key(database), kit.settings.access_token_s
    claims = rules.service_claims(asked.service, now=clock.now(), seconds=seconds)
    return ServiceToken(access_token=key.sign(claims, typ=identity.SERVICE_TYPE), expires_in=seconds)
