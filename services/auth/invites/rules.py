"""Who can be invited."""

from collections.abc import Sequence
from uuid import UUID

from services.auth.invites.schemas import Candidate, Skipped
from services.auth.roster.schemas import Person
from shared.problems import Conflict, Invalid


class InviteAccepted(Conflict):
    slug, title = "invite-accepted", "This invite was accepted already"


class CannotBeInvited(Conflict):
    slug, title = "cannot-be-invited", "This person has left, or has no e-mail address"


class LoginJustMade(Conflict):
    slug, title = "login-just-made", "A login with this address was made this moment; send its password"


class PasswordNeeded(Invalid):
    """`has_login` tells which: the password of the login with this address, or a new one."""

    slug, title = "password-needed", "Send a password with the code"


def skipped(candidates: Sequence[Candidate], asked: Sequence[UUID] | None) -> list[Skipped]:
    """Whoever was asked for is accounted for; of everybody, only those who ought to get an invite and do not."""
    found = [Skipped(person_id=each.person_id, reason=each.reason) for each in candidates if each.reason]
    if asked is None:
        return [each for each in found if each.reason != "has_login"]
    known = {each.person_id for each in candidates}
    unknown = [Skipped(person_id=each, reason="unknown") for each in dict.fromkeys(asked) if each not in known]
    return [*found, *unknown]


def address_of(person: Person | None) -> tuple[str, str]:
    """The address to invite somebody at, and its normal form. Raises CannotBeInvited."""
    if person is None or not person.is_active or person.email is None or person.email_normalised is None:
        raise CannotBeInvited
    return person.email, person.email_normalised
