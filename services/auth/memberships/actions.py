"""Beginning and ending memberships; the others hear of each."""

from collections.abc import Sequence
from uuid import UUID

from services.auth.memberships import queries
from services.auth.memberships.schemas import SavedMembership
from services.auth.sessions import queries as sessions
from services.auth.sessions.revocations import Revocations
from shared import clock
from shared.contracts.auth import MembershipChanged
from shared.database import Tx
from shared.ids import new_id
from shared.outbox import Event, publish_all


async def join(tx: Tx, school_id: UUID, *, user_id: UUID, role: str, person_id: UUID | None) -> SavedMembership:
    saved = await queries.add_membership(
        tx, school_id, membership_id=new_id(), user_id=user_id, role=role, person_id=person_id
    )
    await _tell(tx, school_id, [saved])
    return saved


async def follow_person(
    tx: Tx,
    revocations: Revocations,
    school_id: UUID,
    *,
    person_id: UUID,
    is_active: bool,
    email_normalised: str | None,
) -> None:
    """Who left, or whose address is another's now, is out at once; who came back is in again.

    The memberships come before their sessions, as with all who take both (see `held_choice`).
    """
    changed = await queries.follow_person(
        tx, school_id, person_id=person_id, is_active=is_active, email_normalised=email_normalised
    )
    await _tell(tx, school_id, changed)
    ended = [each.membership_id for each in changed if not each.is_active]
    if ended:
        revocations.tell(tx, await sessions.revoke_of_memberships(tx, ended, now=clock.now()))


async def _tell(tx: Tx, school_id: UUID, saved: Sequence[SavedMembership]) -> None:
    events = [
        Event(
            data=MembershipChanged(
                membership_id=each.membership_id,
                user_id=each.user_id,
                role=each.role,
                person_id=each.person_id,
                email=each.email,
                is_active=each.is_active,
            ),
            subject=str(each.membership_id),
            version=each.version,
        )
        for each in saved
    ]
    await publish_all(tx, events, school_id=school_id)
