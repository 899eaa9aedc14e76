"""Who is calling: access tokens (JWT, EdDSA), verified against the keys that `auth` publishes.

Every service verifies for itself and keeps working while `auth` is down: keys are cached, fetched again at most
once per cool-down, and stale ones are kept when the fetch fails. Source: RFC 8725, RFC 9068.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import httpx
import jwt
import msgspec

from shared import clock
from shared.problems import Forbidden, Unauthenticated, Unavailable

ISSUER: Final = "homeroom"
AUDIENCE: Final = "homeroom-api"
INTERNAL_AUDIENCE: Final = "homeroom-internal"
ACCESS_TYPE: Final = "at+jwt"
SERVICE_TYPE: Final = "svc+jwt"
ALGORITHM: Final = "EdDSA"
MAX_TOKEN_BYTES: Final = 4096
REMEMBERED_TOKENS: Final = 20_000

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class Role:
    """The roles of the platform; a token carries one of them, at one school."""

    PLATFORM_ADMIN: Final = "platform_admin"
    SCHOOL_ADMIN: Final = "school_admin"
    TEACHER: Final = "teacher"
    STUDENT: Final = "student"
    GUARDIAN: Final = "guardian"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A verified access token. `person_id` is the school record (teacher, guardian, student) behind the login."""

    user_id: UUID
    session_id: UUID
    role: str
    expires_at: int
    issued_at: int
    school_id: UUID | None = None
    person_id: UUID | None = None

    @property
    def school(self) -> UUID:
        """The tenant. Raises Forbidden for a token that belongs to no school."""
        if self.school_id is None:
            raise Forbidden("This needs a token for one school.")
        return self.school_id

    @property
    def person(self) -> UUID:
        """The caller's own school record. Raises Forbidden when the login has none."""
        if self.person_id is None:
            raise Forbidden("Your login is not linked to a person of this school.")
        return self.person_id

    @property
    def recipient_id(self) -> UUID:
        """Under which notifications are addressed to the caller: the school record, or the login of who has none."""
        return self.person_id or self.user_id


def keys_at(url: str) -> FetchKeys:
    async def fetch() -> Mapping[str, Any]:
        async with httpx.AsyncClient(timeout=2.0) as client:
            response = await client.get(url)
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=dict[str, Any])

    return fetch


class Verifier:
    """Checks tokens; remembers those it has checked until they expire (ADR 0005)."""

    def __init__(self, fetch: FetchKeys, *, cooldown_s: float = 30.0) -> None:
        self._fetch = fetch
        self._cooldown_s = cooldown_s
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -cooldown_s
        self._fetching = asyncio.Lock()
        self._failures = 0
        self._remembered: dict[str, Caller] = {}

    async def verify(self, token: str) -> Caller:
        """The caller behind an access token. Raises Unauthenticated."""
        remembered = self._remembered.get(token)
        if remembered is None:
            remembered = _caller(await self._claims(token, ACCESS_TYPE, AUDIENCE))
            self._remember(token, remembered)
        if remembered.expires_at <= clock.now().timestamp():
            self._remembered.pop(token, None)
            raise _refused("The token has expired.")
        return remembered

    async def verify_service(self, token: str) -> str:
        """The name of the calling service. Raises Unauthenticated; a user's token is never accepted here."""
        claims = await self._claims(token, SERVICE_TYPE, INTERNAL_AUDIENCE)
        return str(claims["sub"]).removeprefix("service:")

    async def _claims(self, token: str, type_: str, audience: str) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise _refused()
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != type_ or header.get("alg") != ALGORITHM or "crit" in header:
                raise _refused()
            key = await self._key(str(header.get("kid", "")))
            return jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _refused() from None

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            # Who comes while keys are on their way waits for them, and hears as well that they do not come: waiters who
            # asked again would do so one after the other. The cool-down is for who comes after.
            failures = self._failures
            async with self._fetching:
                if self._failures != failures:
                    raise _no_keys()
                if kid not in self._keys and time.monotonic() - self._fetched_at >= self._cooldown_s:
                    await self._refresh()
        if kid not in self._keys:
            raise _refused()
        return self._keys[kid]

    async def _refresh(self) -> None:
        self._fetched_at = time.monotonic()
        try:
            published = await self._fetch()
        except (httpx.HTTPError, msgspec.DecodeError, OSError) as error:
            if self._keys:
                return
            self._fetched_at = -self._cooldown_s
            self._failures += 1
            raise _no_keys() from error
        self._keys = {str(key["kid"]): jwt.PyJWK(key, ALGORITHM) for key in published["keys"]}

    def _remember(self, token: str, caller: Caller) -> None:
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        self._remembered[token] = caller


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header. Raises Unauthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _refused("Send an access token: `Authorization: Bearer …`.")
    return token


def _caller(claims: Mapping[str, Any]) -> Caller:
    try:
        return Caller(
            user_id=UUID(claims["sub"]),
            session_id=UUID(claims["sid"]),
            role=str(claims["role"]),
            expires_at=int(claims["exp"]),
            issued_at=int(claims["iat"]),
            school_id=_uuid(claims.get("school")),
            person_id=_uuid(claims.get("person")),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _refused() from None


def _uuid(value: str | None) -> UUID | None:
    return UUID(value) if value else None


def _no_keys() -> Unavailable:
    return Unavailable("Sign-in keys cannot be fetched.", headers={"Retry-After": "5"})


def _refused(detail: str = "The token is not valid.") -> Unauthenticated:
    return Unauthenticated(detail, headers={"WWW-Authenticate": 'Bearer realm="homeroom"'})
