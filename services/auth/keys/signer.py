"""Signs tokens, with keys that are read from the table once a minute."""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from services.auth.keys import queries, rules
from services.auth.keys.schemas import KeySet, SigningKey
from shared import clock, identity
from shared.database import Database
from shared.problems import Unavailable
from shared.seal import Seal

CACHE_S: Final = 60.0


class LoadedKey:
    """A private key, ready to sign."""

    def __init__(self, kid: str, private_key: Ed25519PrivateKey, *, access_token_s: int) -> None:
        self.access_token_s = access_token_s
        self._kid = kid
        self._private_key = private_key

    def sign(self, claims: Mapping[str, object], *, typ: str = identity.ACCESS_TYPE) -> str:
        return jwt.encode(
            dict(claims), self._private_key, algorithm=identity.ALGORITHM, headers={"typ": typ, "kid": self._kid}
        )


class Signer:
    def __init__(self, seal: Seal, *, access_token_s: int) -> None:
        self._seal = seal
        self._access_token_s = access_token_s
        self._keys: Sequence[SigningKey] = ()
        self._read_at = -CACHE_S
        self._loaded: dict[str, LoadedKey] = {}

    async def key(self, database: Database) -> LoadedKey:
        """The key to sign with. Call it before a transaction is opened: it may need a connection itself."""
        chosen = rules.signing_key(await self._current(database), clock.now())
        if chosen.kid not in self._loaded:
            private_key = OKPAlgorithm.from_jwk(self._seal.open(chosen.sealed_private_key))
            assert isinstance(private_key, Ed25519PrivateKey)
            self._loaded[chosen.kid] = LoadedKey(chosen.kid, private_key, access_token_s=self._access_token_s)
        return self._loaded[chosen.kid]

    async def published(self, database: Database) -> KeySet:
        keys = await self._current(database)
        return KeySet(keys=[msgspec.json.decode(key.public_key, type=dict[str, str]) for key in keys])

    def new_key(self, now: datetime) -> SigningKey:
        private_key, kid = Ed25519PrivateKey.generate(), secrets.token_urlsafe(12)
        public: dict[str, str] = OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
        published = {**public, "kid": kid, "use": "sig", "alg": identity.ALGORITHM}
        return SigningKey(
            kid=kid,
            public_key=msgspec.json.encode(published).decode(),
            sealed_private_key=self._seal.close(str(OKPAlgorithm.to_jwk(private_key))),
            created_at=now,
        )

    async def _current(self, database: Database) -> Sequence[SigningKey]:
        if time.monotonic() - self._read_at >= CACHE_S or not self._keys:
            self._keys = await queries.signing_keys(database.reader())
            self._read_at = time.monotonic()
        if not self._keys:
            raise Unavailable("There is no key to sign with yet.", headers={"Retry-After": "2"})
        return self._keys
