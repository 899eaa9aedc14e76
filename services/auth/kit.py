"""What the actions of this service share, made once per process."""

from ipaddress import ip_address, ip_network
from typing import Any

from litestar import Request
from litestar.di import NamedDependency

from services.auth.keys.signer import Signer
from services.auth.passwords.hashing import Passwords
from services.auth.sessions.revocations import Revocations
from services.auth.settings import Settings
from services.auth.throttle import Throttle
from shared.seal import Seal


class Kit:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.passwords = Passwords(
            threads=settings.hash_threads, waiting=settings.hash_waiting, wait_s=settings.hash_wait_s
        )
        self.throttle = Throttle(settings)
        self.revocations = Revocations(settings)
        self.code_seal = Seal(settings.seal_key)
        self.own_seal = Seal(settings.signing_key_secret)
        self.signer = Signer(self.own_seal, access_token_s=settings.access_token_s)

    async def close(self) -> None:
        self.passwords.close()
        await self.throttle.close()
        await self.revocations.close()


class ClientIp(str):
    """The address that a request came from."""

    __slots__ = ()


def client_ip(request: Request[Any, Any, Any], settings: NamedDependency[Settings]) -> ClientIp:
    """From the gateway's header, where one is configured; otherwise a client could write it itself."""
    told = request.headers.get(settings.client_ip_header) if settings.client_ip_header else None
    peer = request.client.host if request.client else "unknown"
    return ClientIp(_network((told or peer)[:64]))


def _network(address: str) -> str:
    """Who has one IPv6 address has a whole /64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
