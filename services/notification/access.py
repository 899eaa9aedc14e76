"""Who may do what here. Whose inbox and wishes these are follows from the token: everybody has their own."""

from collections.abc import Mapping

from shared.identity import Role

OWN = frozenset({"inbox.own", "preferences.own"})

PERMISSIONS: Mapping[str, frozenset[str]] = {
    Role.SCHOOL_ADMIN: OWN | {"delivery.read", "notification_policy.manage"},
    Role.TEACHER: OWN,
    Role.STUDENT: OWN,
    Role.GUARDIAN: OWN,
}
