"""The first platform admin, the keys that sign tokens, and tokens for services."""

import asyncio
from datetime import timedelta

import httpx
import msgspec
import psycopg
import pytest
from cryptography.fernet import InvalidToken

from services.auth.app import create_app
from services.auth.keys import queries, rules
from services.auth.keys.actions import keep_keys
from services.auth.keys.schemas import SigningKey
from services.auth.kit import Kit
from services.auth.settings import Settings
from services.auth.start import prepare
from services.auth.tests.house import House, slug
from shared import clock
from shared.commands import openapi_text
from shared.database import Database
from shared.identity import Verifier
from shared.ids import new_id
from shared.problems import Unauthenticated
from shared.seal import Seal
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens

NEW = "a password of my own"


def own(stack: Stack, statement: str) -> int:
    """As the owner of the tables: the app role may not do such things."""
    with psycopg.connect(stack.owner_url("auth"), autocommit=True) as connection:
        return connection.execute(statement).rowcount  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
async def bootstrapped(house: House, stack: Stack, database: Database, kit: Kit) -> House:
    """A platform without an admin, until it starts."""
    own(stack, "DELETE FROM session USING account WHERE session.user_id = account.user_id AND is_platform_admin")
    own(stack, "DELETE FROM account WHERE is_platform_admin")
    await asyncio.gather(*(prepare(database, kit) for _ in range(4)))
    return house


async def bootstrap_sign_in(house: House, password: str | None = None) -> httpx.Response:
    settings = house.kit.settings
    return await house.sign_in(settings.bootstrap_email, password or settings.bootstrap_password)


async def test_processes_that_start_at_once_make_one_platform_admin(bootstrapped: House, stack: Stack) -> None:
    assert own(stack, "SELECT FROM account WHERE is_platform_admin") == 1


async def test_the_platform_admin_must_first_change_the_password(bootstrapped: House) -> None:
    house = bootstrapped
    told = (await bootstrap_sign_in(house)).json()
    token = told["access_token"]

    body = {"school_id": str(await house.school()), "email": "a@b.test", "name": "A"}
    refused = await house.post("/admin-invites", body, token=token)
    switched = await house.post("/auth/switch", {"membership_id": str(new_id())}, token=token)
    me = (await house.me(token)).json()

    assert (told["must_change_password"], told["membership_id"], told["memberships"]) == (True, None, [])
    assert (refused.status_code, switched.status_code) == (403, 403)
    assert (me["role"], me["must_change_password"], me["school"]) == ("password_change_only", True, None)
    assert (await house.refresh(told["refresh_token"])).json()["must_change_password"] is True


async def test_with_a_new_password_the_platform_admin_may_work(bootstrapped: House) -> None:
    house = bootstrapped
    told = (await bootstrap_sign_in(house)).json()
    old = house.kit.settings.bootstrap_password

    short = await change(house, told["access_token"], old, "fourteen chars")
    same = await change(house, told["access_token"], old, old)
    changed = await change(house, told["access_token"], old, NEW)

    body = {"school_id": str(await house.school()), "email": "a@b.test", "name": "A"}
    invited = await house.post("/admin-invites", body, token=changed.json()["access_token"])
    assert (slug(short), slug(same)) == ("weak-password", "weak-password")
    assert changed.json()["must_change_password"] is False
    assert invited.status_code == 201


async def test_a_restart_does_not_bring_the_first_password_back(
    bootstrapped: House, database: Database, kit: Kit
) -> None:
    told = (await bootstrap_sign_in(bootstrapped)).json()
    await change(bootstrapped, told["access_token"], kit.settings.bootstrap_password, NEW)

    await prepare(database, kit)

    assert (await bootstrap_sign_in(bootstrapped)).status_code == 401
    assert (await bootstrap_sign_in(bootstrapped, NEW)).status_code == 200


async def test_without_a_name_in_the_settings_there_is_no_platform_admin(
    bootstrapped: House, stack: Stack, database: Database
) -> None:
    own(stack, "DELETE FROM account WHERE is_platform_admin")
    kit = Kit(stack.settings(Settings, "auth", bootstrap_email=""))

    assert await prepare(database, kit)

    assert own(stack, "SELECT FROM account WHERE is_platform_admin") == 0
    await kit.close()


async def test_starting_without_a_database_waits_for_it(stack: Stack, tokens: Tokens) -> None:
    away = stack.settings(
        Settings, "auth", database_url="postgresql://nobody@127.0.0.1:1/none", database_pool_wait_s=0.2
    )

    async with client_of(create_app(away, tokens.verifier)) as client:
        ready = await client.get("/health/ready")
        keys = await client.get("/.well-known/jwks.json")

    assert (ready.status_code, keys.status_code) == (503, 503)


async def test_the_published_keys_are_public_and_may_be_kept_a_minute(house: House) -> None:
    answer = await house.client.get("/.well-known/jwks.json")

    assert answer.headers["cache-control"] == "public, max-age=60"
    assert {frozenset(key) for key in answer.json()["keys"]} == {frozenset({"kty", "crv", "x", "kid", "use", "alg"})}


async def test_processes_that_start_at_once_share_one_key(
    house: House, stack: Stack, database: Database, kit: Kit
) -> None:
    own(stack, "DELETE FROM signing_key")

    await asyncio.gather(*(keep_keys(database, kit) for _ in range(5)))

    assert len(await queries.signing_keys(database.reader())) == 1


async def test_a_private_key_is_sealed_in_the_table(house: House, database: Database, kit: Kit) -> None:
    key = (await queries.signing_keys(database.reader()))[0]

    assert "d" in msgspec.json.decode(kit.own_seal.open(key.sealed_private_key))
    assert "d" not in msgspec.json.decode(key.public_key)
    with pytest.raises(InvalidToken):
        Seal("A" * 43 + "=").open(key.sealed_private_key)


def test_a_new_key_signs_once_every_verifier_has_it() -> None:
    now = clock.now()
    old, new = a_key("old", now - timedelta(days=91)), a_key("new", now - timedelta(minutes=1))

    assert rules.signing_key([old, new], now).kid == "old"
    assert rules.signing_key([old, new], now + timedelta(minutes=5)).kid == "new"
    assert rules.signing_key([new], now).kid == "new"


def test_a_key_is_replaced_in_time_and_kept_while_its_tokens_live() -> None:
    now = clock.now()
    old, new = a_key("old", now - timedelta(days=91)), a_key("new", now)

    assert rules.needs_new_key([old], now)
    assert not rules.needs_new_key([old, new], now)
    assert rules.retired_before([old, new], now + timedelta(hours=1)) <= old.created_at
    assert rules.retired_before([old, new], now + timedelta(days=2)) == new.created_at


async def test_a_service_that_shows_its_secret_gets_a_token(house: House) -> None:
    answer = await service_token(house, "academic", "academic-secret")

    told = answer.json()
    verifier = Verifier(lambda: keys_of(house))
    assert (answer.status_code, told["expires_in"]) == (200, 600)
    assert await verifier.verify_service(told["access_token"]) == "academic"
    with pytest.raises(Unauthenticated):
        await verifier.verify(told["access_token"])


@pytest.mark.parametrize(
    ("service", "secret"), [("academic", "school-secret"), ("nobody", "x"), ("academic", "ünicode")]
)
async def test_a_wrong_secret_gets_none(house: House, service: str, secret: str) -> None:
    assert (await service_token(house, service, secret)).status_code == 401


async def test_a_users_token_is_none_of_a_service(house: House) -> None:
    ada = await house.login()

    with pytest.raises(Unauthenticated):
        await Verifier(lambda: keys_of(house)).verify_service(ada["access_token"])


def test_the_contract_can_be_printed_without_anything_running(settings: Settings) -> None:
    document = msgspec.json.decode(openapi_text(create_app(settings)))

    assert "/api/v1/auth/sign-in" in document["paths"]
    assert "code-refused" in str(document["paths"]["/api/v1/auth/invites/accept"])


def a_key(kid: str, created_at: object) -> SigningKey:
    return SigningKey(kid=kid, public_key="", sealed_private_key="", created_at=created_at)  # pyright: ignore[reportArgumentType]


async def keys_of(house: House) -> dict[str, object]:
    return (await house.client.get("/.well-known/jwks.json")).json()


async def service_token(house: House, service: str, secret: str) -> httpx.Response:
    return await house.client.post("/internal/service-tokens", json={"service": service, "secret": secret})


async def change(house: House, token: str, current: str, new: str) -> httpx.Response:
    return await house.post("/auth/password", {"current_password": current, "new_password": new}, token=token)


async def test_the_worker_answers_requests_by_itself(house: House) -> None:
    ada = await house.login()
    working = asyncio.create_task(house.worker.run())

    await house.post("/auth/password-resets", {"email": ada["email"]})
    async with asyncio.timeout(60):
        while not house.resets(ada["email"]):
            await asyncio.sleep(0.1)

    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
