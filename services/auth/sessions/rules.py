"""Who gets in, as what, and what a refresh token that comes back means."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from services.auth.access import PASSWORD_CHANGE_ONLY
from services.auth.accounts.schemas import Account
from services.auth.memberships.schemas import Membership
from services.auth.sessions.schemas import CurrentSchool, Me, MembershipChoice, PresentedToken
from shared.identity import Role
from shared.problems import Forbidden, Unauthenticated


class WrongCredentials(Unauthenticated):
    """The same for an unknown address, a wrong password and a closed login."""

    slug, title = "wrong-credentials", "The e-mail address or the password is not right"


class SessionOver(Unauthenticated):
    slug, title = "session-over", "The session is over; sign in again"


class NoMembership(Forbidden):
    """Only told to who knew the password."""

    slug, title = "no-membership", "This login belongs to no school at present"


class Presented(Enum):
    CURRENT = "current"
    BEHIND = "behind"
    """One behind the current: the answer was lost, or two tabs came at once. Gets the current one again."""
    REUSED = "reused"
    """Older: somebody has a copy. Ends the session."""
    OVER = "over"


def judge(token: PresentedToken, *, now: datetime, idle: timedelta) -> Presented:
    if token.revoked_at is not None or token.used_at <= now - idle:
        return Presented.OVER
    match token.generation - token.presented_generation:
        case 0:
            return Presented.CURRENT
        case 1:
            return Presented.BEHIND
        case _:
            return Presented.REUSED


def choose(account: Account, memberships: Sequence[Membership], wanted: UUID | None) -> Membership | None:
    """The wanted membership or else the oldest; none for a platform admin who wants none. Raises NoMembership."""
    if found := with_id(memberships, wanted):
        return found
    if account.is_platform_admin:
        return None
    if not memberships:
        raise NoMembership
    return memberships[0]


def with_id(memberships: Sequence[Membership], membership_id: UUID | None) -> Membership | None:
    return next((each for each in memberships if each.membership_id == membership_id), None)


def needs_none(account: Account, membership_id: UUID | None) -> bool:
    """Whether a session without a membership is what it was opened as: a platform admin's."""
    return account.is_platform_admin and membership_id is None


def role_of(account: Account, membership: Membership | None) -> str:
    if account.must_change_password:
        return PASSWORD_CHANGE_ONLY
    return membership.role if membership else Role.PLATFORM_ADMIN


def choices(memberships: Sequence[Membership]) -> list[MembershipChoice]:
    return [
        MembershipChoice(
            membership_id=each.membership_id, school_id=each.school_id, school_name=each.school_name, role=each.role
        )
        for each in memberships
    ]


def me(account: Account, memberships: Sequence[Membership], current: Membership | None) -> Me:
    school = current and CurrentSchool(school_id=current.school_id, name=current.school_name)
    return Me(
        user_id=account.user_id,
        email=account.email,
        name=account.name,
        role=role_of(account, current),
        membership_id=current.membership_id if current else None,
        person_id=current.person_id if current else None,
        school=school,
        memberships=choices(memberships),
        must_change_password=account.must_change_password,
    )
