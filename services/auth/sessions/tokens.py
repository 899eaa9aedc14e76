"""What a session hands out: the two tokens, and what goes with them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.auth import codes
from services.auth.accounts.schemas import Account
from services.auth.keys.rules import access_claims
from services.auth.keys.signer import LoadedKey
from services.auth.kit import Kit
from services.auth.memberships.schemas import Membership
from services.auth.sessions import queries, rules
from services.auth.sessions.choices import held_choice
from services.auth.sessions.schemas import AccessToken, Session, SignedIn
from shared import clock
from shared.database import Tx
from shared.ids import new_id


async def open_session(
    tx: Tx, kit: Kit, key: LoadedKey, account: Account, *, membership_id: UUID | None = None
) -> SignedIn:
    """For who has proved to be `account`. Raises NoMembership."""
    found, chosen = await held_choice(tx, account, membership_id)
    now, token = clock.now(), codes.new_code()
    session = Session(
        session_id=new_id(),
        user_id=account.user_id,
        membership_id=chosen.membership_id if chosen else None,
        generation=1,
        sealed_token=kit.own_seal.close(token),
        used_at=now,
        revoked_at=None,
    )
    await queries.add_session(tx, session)
    await queries.add_refresh_token(tx, codes.hash_code(token), session_id=session.session_id, generation=1)
    return signed_in(key, account, found, chosen, session_id=session.session_id, token=token, now=now)


def signed_in(
    key: LoadedKey,
    account: Account,
    found: Sequence[Membership],
    chosen: Membership | None,
    *,
    session_id: UUID,
    token: str,
    now: datetime,
) -> SignedIn:
    access = access_token(key, account, chosen, session_id=session_id, now=now)
    return SignedIn(
        access_token=access.access_token,
        expires_in=access.expires_in,
        membership_id=access.membership_id,
        refresh_token=token,
        memberships=rules.choices(found),
        must_change_password=account.must_change_password,
    )


def access_token(
    key: LoadedKey, account: Account, chosen: Membership | None, *, session_id: UUID, now: datetime
) -> AccessToken:
    claims = access_claims(
        user_id=account.user_id,
        session_id=session_id,
        role=rules.role_of(account, chosen),
        school_id=chosen.school_id if chosen else None,
        person_id=chosen.person_id if chosen else None,
        now=now,
        seconds=key.access_token_s,
    )
    membership_id = chosen.membership_id if chosen else None
    return AccessToken(access_token=key.sign(claims), expires_in=key.access_token_s, membership_id=membership_id)
