"""Who may do what here. Whose inbox it is follows from the token: everybody reads their own."""

from collections.abc import Mapping

from shared.identity import Role

OWN_INBOX = frozenset({"inbox.own"})

PERMISSIONS: Mapping[str, frozenset[str]] = {
    Role.SCHOOL_ADMIN: OWN_INBOX | {"delivery.read"},
    Role.TEACHER: OWN_INBOX,
    Role.STUDENT: OWN_INBOX,
    Role.GUARDIAN: OWN_INBOX,
}
