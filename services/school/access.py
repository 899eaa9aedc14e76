"""Who may do what here. Which school it is follows from the token; there is nothing personal in it."""

from collections.abc import Mapping
from typing import Final

from shared.identity import Role

EVERYBODY: Final = frozenset({"school.read", "today.read"})

PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    Role.PLATFORM_ADMIN: frozenset({"directory.read"}),
    Role.SCHOOL_ADMIN: EVERYBODY | {"school.manage"},
    Role.TEACHER: EVERYBODY,
    Role.STUDENT: EVERYBODY,
    Role.GUARDIAN: EVERYBODY,
}
