"""Tokens as `auth` would issue them, signed with a key of the test run."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from shared import identity
from shared.identity import Verifier
from shared.ids import new_id

KEY_ID = "test-key"


class Tokens:
    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.verifier = Verifier(self.keys)

    def token(
        self,
        role: str,
        *,
        school_id: UUID | None = None,
        user_id: UUID | None = None,
        person_id: UUID | None = None,
        **claims: object,
    ) -> str:
        """An access token, valid for ten minutes; `claims` overrule single claims for tests of bad tokens."""
        now = int(time.time())
        return self.sign(
            {
                "iss": identity.ISSUER,
                "aud": identity.AUDIENCE,
                "sub": str(user_id or new_id()),
                "sid": str(new_id()),
                "jti": str(new_id()),
                "role": role,
                "school": str(school_id) if school_id else None,
                "person": str(person_id) if person_id else None,
                "iat": now,
                "exp": now + 600,
                **claims,
            }
        )

    def headers(self, role: str, **who: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, **who)}"}

    def service_headers(self, service: str) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": identity.ISSUER,
            "aud": identity.INTERNAL_AUDIENCE,
            "sub": f"service:{service}",
            "iat": now,
            "exp": now + 600,
        }
        return {"Authorization": f"Bearer {self.sign(claims, typ=identity.SERVICE_TYPE)}"}

    def sign(self, claims: Mapping[str, object], *, typ: str = identity.ACCESS_TYPE, **header: object) -> str:
        return jwt.encode(
            dict(claims), self._key, algorithm=identity.ALGORITHM, headers={"typ": typ, "kid": KEY_ID, **header}
        )

    async def keys(self) -> Mapping[str, Any]:
        public = msgspec.json.decode(OKPAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": identity.ALGORITHM}]}
