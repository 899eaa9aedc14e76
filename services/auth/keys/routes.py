"""The public keys, and tokens for services."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.auth.keys import actions
from services.auth.keys.schemas import KeySet, ServiceToken, ServiceTokenRequest
from services.auth.kit import Kit
from shared.database import Database
from shared.problems import Unauthenticated


@get(
    "/.well-known/jwks.json",
    operation_id="list_signing_keys",
    summary="The public keys that tokens are verified with.",
    opt={"public": True},
)
async def list_signing_keys(database: NamedDependency[Database], kit: NamedDependency[Kit]) -> Response[KeySet]:
    return Response(await kit.signer.published(database), headers={"Cache-Control": "public, max-age=60"})


# Public in the sense of "without a token"; the gateway lets nobody reach /internal.
@post(
    "/internal/service-tokens",
    operation_id="issue_service_token",
    summary="A token for a service that shows its secret.",
    status_code=200,
    opt={"public": True, "unkeyed": "It leaves nothing behind.", "problems": (Unauthenticated,)},
)
async def issue_service_token(
    data: JSONBody[ServiceTokenRequest], database: NamedDependency[Database], kit: NamedDependency[Kit]
) -> ServiceToken:
    return await actions.issue_service_token(database, kit, data)


router = Router("/", route_handlers=[list_signing_keys, issue_service_token])
