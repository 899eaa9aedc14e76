"""Which membership a session is for, held while the session is made."""

from collections.abc import Sequence
from uuid import UUID

from services.auth.accounts.schemas import Account
from services.auth.memberships import queries as memberships
from services.auth.memberships.schemas import Membership
from services.auth.sessions import rules
from shared.database import Tx


async def held_choice(tx: Tx, account: Account, wanted: UUID | None) -> tuple[Sequence[Membership], Membership | None]:
    """The active memberships of who has proved to be `account`, and the chosen one. Raises NoMembership.

    Who ends a membership cannot see a session that is not committed yet. So the membership is held: either the other
    waits, and then sees the session, or was first, and this one looks again. Both take the membership before any
    session that is there; the other way round they would wait for each other.
    """
    await memberships.as_user(tx, account.user_id)
    while True:
        found = await memberships.memberships_of_user(tx, account.user_id)
        chosen = rules.choose(account, found, wanted)
        if chosen is None or await memberships.hold(tx, chosen):
            return found, chosen
