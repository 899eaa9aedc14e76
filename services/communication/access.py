"""Who may do what here: the role's permission, and of a teacher the class."""

from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from services.communication.roster import queries as roster
from shared.database import Reader
from shared.identity import Caller, Role
from shared.problems import NotFound

READER: Final = frozenset({"announcement.read"})
STAFF: Final = READER | {"contact.read", "announcement.write", "file.upload"}

PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    Role.SCHOOL_ADMIN: STAFF | {"file.usage"},
    Role.TEACHER: STAFF,
    Role.GUARDIAN: READER | {"file.upload"},
    Role.STUDENT: READER,
}
"""Of announcements the office manages all, a teacher what they wrote; `announcements.rules.require_own` looks."""


async def require_class(reader: Reader, caller: Caller, class_id: UUID, *, today: date) -> None:
    """Raises NotFound unless there is such a class and, for a teacher, they teach it today."""
    if caller.role == Role.SCHOOL_ADMIN:
        allowed = await roster.class_exists(reader, school_id=caller.school, class_id=class_id)
    else:
        allowed = await roster.teaches_class(
            reader, school_id=caller.school, teacher_id=caller.person, class_id=class_id, day=today
        )
    if not allowed:
        raise NotFound
