"""Who may do what here. Which school it is follows from the token; there is nothing personal in it."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request

from shared.identity import Role
from shared.problems import Forbidden

EVERYBODY: Final = frozenset({"school.read", "today.read"})
ROSTER_SENDER: Final = "academic"

PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    Role.PLATFORM_ADMIN: frozenset({"directory.read"}),
    Role.SCHOOL_ADMIN: EVERYBODY | {"school.manage"},
    Role.TEACHER: EVERYBODY,
    Role.STUDENT: EVERYBODY,
    Role.GUARDIAN: EVERYBODY,
}


def require_roster_sender(request: Request[Any, Any, Any]) -> None:
    """Raises Forbidden unless the calling service is the one that imports rosters."""
    if request.state["service"] != ROSTER_SENDER:
        raise Forbidden("Only an import may send a roster.")
