"""Inviting people, and letting in who comes with a code."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from services.auth import codes, emails
from services.auth.accounts import queries as accounts
from services.auth.accounts.schemas import Account
from services.auth.codes import CodeRefused
from services.auth.invites import queries, rules
from services.auth.invites.rules import InviteAccepted, LoginJustMade, PasswordNeeded
from services.auth.invites.schemas import (
    Acceptance,
    AdminInvite,
    BulkInvite,
    BulkResult,
    Candidate,
    Invite,
    NewInvite,
    OpenInvite,
    SavedInvite,
)
from services.auth.kit import Kit
from services.auth.memberships import actions as memberships
from services.auth.passwords.rules import require_strong
from services.auth.roster import queries as roster
from services.auth.sessions.actions import check_password, still
from services.auth.sessions.schemas import SignedIn
from services.auth.sessions.tokens import open_session
from shared import clock
from shared.contracts.auth import InviteIssued
from shared.database import Database, Tx
from shared.identity import Role
from shared.ids import new_id
from shared.outbox import Event, publish_all
from shared.problems import NotFound


async def invite_admin(database: Database, kit: Kit, wanted: AdminInvite) -> Invite:
    """Raises NotFound for a school that was never heard of."""
    new = _new_invite(kit, role=Role.SCHOOL_ADMIN, person_id=None, name=wanted.name, email=wanted.email.strip())
    async with database.transaction(school_id=wanted.school_id) as tx:
        if await roster.school_name(tx, wanted.school_id) is None:
            raise NotFound("No such school is known here.")
        saved = await queries.save_admin_invite(tx, wanted.school_id, new)
        await _tell(tx, kit, wanted.school_id, [new], [saved])
        return await _shown(tx, wanted.school_id, saved.invite_id)


async def invite_people(database: Database, kit: Kit, school_id: UUID, wanted: BulkInvite) -> BulkResult:
    """However many, it is one transaction: either everybody is invited, or nobody."""
    async with database.transaction(school_id=school_id) as tx:
        found = await queries.candidates(tx, school_id, role=wanted.role, person_ids=wanted.person_ids, now=clock.now())
        new = [_invite_of(kit, wanted.role, candidate) for candidate in found if candidate.reason is None]
        saved = await queries.add_invites(tx, school_id, new)
        await _tell(tx, kit, school_id, new, saved)
    return BulkResult(issued=len(saved), skipped=rules.skipped(found, wanted.person_ids))


async def reissue(database: Database, kit: Kit, school_id: UUID, invite_id: UUID) -> Invite:
    """A new code; the old one dies. Raises NotFound, InviteAccepted, CannotBeInvited."""
    async with database.transaction(school_id=school_id) as tx:
        invite = await _shown(tx, school_id, invite_id)
        if invite.state == "accepted":
            raise InviteAccepted
        new = msgspec.structs.replace(await _renewed(tx, kit, school_id, invite), invite_id=invite_id)
        saved = await queries.reissue(tx, school_id, new)
        if saved is None:
            raise InviteAccepted
        await _tell(tx, kit, school_id, [new], [saved])
        return await _shown(tx, school_id, invite_id)


async def accept(database: Database, kit: Kit, given: Acceptance, ip: str) -> SignedIn:
    """Raises TooManyAttempts, CodeRefused, PasswordNeeded, WrongCredentials, WeakPassword, LoginJustMade."""
    code_hash = codes.hash_code(given.code)
    # Only the code is guessed here. Who has it may take some tries to choose a password; those at a login's are counted
    # as such.
    async with kit.throttle.attempt("redeem", code_hash, ip):
        invite = await _invite_of_code(database, code_hash)
    return await _redeem(database, kit, invite, given, ip)


async def _redeem(database: Database, kit: Kit, invite: OpenInvite, given: Acceptance, ip: str) -> SignedIn:
    known = await accounts.account_by_email(database.reader(), invite.email_normalised)
    if given.password is None:
        raise PasswordNeeded(has_login=known is not None)
    account = await _account_for(kit, invite, known, given.password, ip)
    code_hash = codes.hash_code(given.code)
    key = await kit.signer.key(database)
    async with database.transaction(school_id=invite.school_id) as tx:
        if not await queries.accept(tx, invite.school_id, invite.invite_id, code_hash=code_hash, now=clock.now()):
            raise CodeRefused
        login = await still(tx, account) if known else await _add_account(tx, account)
        joined = await memberships.join(
            tx, invite.school_id, user_id=login.user_id, role=invite.role, person_id=invite.person_id
        )
        return await open_session(tx, kit, key, login, membership_id=joined.membership_id)


async def _invite_of_code(database: Database, code_hash: str) -> OpenInvite:
    async with database.transaction(capability=code_hash) as tx:
        invite = await queries.invite_of_code(tx, code_hash, now=clock.now())
    if invite is None:
        raise CodeRefused
    return invite


async def _account_for(kit: Kit, invite: OpenInvite, known: Account | None, password: str, ip: str) -> Account:
    """The login with the invited address, its password checked; a new one where there is none."""
    if known:
        await check_password(kit, known, email=invite.email_normalised, password=password, ip=ip)
        return known
    require_strong(password, email=invite.email_normalised, pointer="/password")
    return Account(
        user_id=new_id(),
        email=invite.email,
        email_normalised=invite.email_normalised,
        name=invite.name,
        password_hash=await kit.passwords.hash(password),
        must_change_password=False,
        is_platform_admin=False,
        is_active=True,
    )


async def _add_account(tx: Tx, account: Account) -> Account:
    if not await accounts.add_account(tx, account, created_at=clock.now()):
        raise LoginJustMade
    return account


async def _shown(tx: Tx, school_id: UUID, invite_id: UUID) -> Invite:
    invite = await queries.invite(tx, school_id, invite_id, now=clock.now())
    if invite is None:
        raise NotFound
    return invite


async def _renewed(tx: Tx, kit: Kit, school_id: UUID, invite: Invite) -> NewInvite:
    """To the address that the person has by now."""
    email = invite.email
    if invite.person_id is not None:
        email, _ = rules.address_of(await roster.person(tx, school_id, invite.person_id))
    return _new_invite(kit, role=invite.role, person_id=invite.person_id, name=invite.name, email=email)


def _invite_of(kit: Kit, role: str, candidate: Candidate) -> NewInvite:
    assert candidate.email is not None, "who has no address has a reason not to be invited"
    return _new_invite(kit, role=role, person_id=candidate.person_id, name=candidate.name, email=candidate.email)


def _new_invite(kit: Kit, *, role: str, person_id: UUID | None, name: str, email: str) -> NewInvite:
    now = clock.now()
    return NewInvite(
        invite_id=new_id(),
        role=role,
        person_id=person_id,
        name=name,
        email=email,
        email_normalised=emails.normalised(email),
        code=codes.new_code(),
        created_at=now,
        expires_at=now + timedelta(days=kit.settings.invite_days),
    )


async def _tell(tx: Tx, kit: Kit, school_id: UUID, new: Sequence[NewInvite], saved: Sequence[SavedInvite]) -> None:
    """The mails go out by the hash of the code: what was not saved is not sent."""
    by_hash = {codes.hash_code(each.code): each for each in new}
    school_name = await roster.school_name(tx, school_id) or ""
    events = [
        Event(
            data=_issued(kit, school_id, school_name, by_hash[each.code_hash], each.invite_id),
            subject=str(each.invite_id),
            version=each.version,
        )
        for each in saved
    ]
    await publish_all(tx, events, school_id=school_id)


def _issued(kit: Kit, school_id: UUID, school_name: str, invite: NewInvite, invite_id: UUID) -> InviteIssued:
    return InviteIssued(
        invite_id=invite_id,
        email=invite.email,
        name=invite.name,
        role=invite.role,
        school_id=school_id,
        school_name=school_name,
        sealed_code=kit.code_seal.close(invite.code),
        expires_at=invite.expires_at,
    )
