"""A new password ends every session that the old one had opened."""

from datetime import timedelta
from uuid import UUID

import msgspec

from services.auth import codes, emails
from services.auth.accounts import queries as accounts
from services.auth.accounts.schemas import Account
from services.auth.codes import CodeRefused
from services.auth.kit import Kit
from services.auth.passwords import queries, rules
from services.auth.passwords.schemas import PasswordChange, Reset, ResetConfirmation, ResetTaken, Wanted
from services.auth.sessions import queries as sessions
from services.auth.sessions.actions import check_password, live_account, live_session, still
from services.auth.sessions.choices import held_choice
from services.auth.sessions.schemas import SignedIn
from services.auth.sessions.tokens import open_session
from shared import clock
from shared.contracts.auth import PasswordResetRequested
from shared.database import Database, Tx
from shared.identity import Caller
from shared.ids import new_id
from shared.outbox import Event, publish_all


async def change_password(database: Database, kit: Kit, caller: Caller, wanted: PasswordChange, ip: str) -> SignedIn:
    """Tokens of a new session, the only one from now on. Raises WrongCredentials, WeakPassword, SessionOver."""
    async with database.transaction() as tx:
        account = await live_account(tx, caller)
    email = account.email_normalised
    await check_password(kit, account, email=email, password=wanted.current_password, ip=ip)
    rules.require_strong(
        wanted.new_password, email=email, is_platform_admin=account.is_platform_admin, pointer="/new_password"
    )
    rules.require_other(wanted.current_password, wanted.new_password)
    password_hash = await kit.passwords.hash(wanted.new_password)
    key = await kit.signer.key(database)
    async with database.transaction() as tx:
        unchanged = await still(tx, account)
        session = await live_session(tx, caller)
        # Before the sessions end, as whoever ends a membership takes it before its sessions.
        _, chosen = await held_choice(tx, account, session.membership_id)
        await _set_password(tx, kit, account.user_id, password_hash)
        changed = msgspec.structs.replace(unchanged, must_change_password=False)
        return await open_session(tx, kit, key, changed, membership_id=chosen.membership_id if chosen else None)


async def request_reset(database: Database, kit: Kit, email: str, ip: str) -> ResetTaken:
    """Only noted here: whether there is such a login is looked up by the worker, where nobody measures the time.

    What is one too many for the mailbox is not even noted, and the answer is the same, so that nobody can fill it.
    """
    email_normalised = emails.normalised(email)
    await kit.throttle.count("reset", email_normalised, ip)
    if not await kit.throttle.has_room_for_mail(email_normalised):
        return ResetTaken()
    async with database.transaction() as tx:
        await queries.add_request(tx, new_id(), email_normalised=email_normalised, now=clock.now())
    return ResetTaken()


async def answer_requests(database: Database, kit: Kit) -> bool:
    """Make codes for the logins that were asked for, instead of those they had; whether there may be more to do."""
    now = clock.now()
    async with database.transaction() as tx:
        wanted = await queries.take_requests(tx)
        made = [_new_reset(kit, each) for each in wanted]
        await queries.forget_resets(tx, [each.user_id for each in wanted])
        await queries.add_resets(tx, [reset for reset, _ in made])
        await publish_all(tx, [event for _, event in made], school_id=None)
        await queries.prune_resets(tx, now)
    return bool(wanted)


def _new_reset(kit: Kit, wanted: Wanted) -> tuple[Reset, Event]:
    code, expires_at = codes.new_code(), clock.now() + timedelta(minutes=kit.settings.reset_minutes)
    reset = Reset(reset_id=new_id(), user_id=wanted.user_id, code_hash=codes.hash_code(code), expires_at=expires_at)
    told = PasswordResetRequested(
        reset_id=reset.reset_id, email=wanted.email, sealed_code=kit.code_seal.close(code), expires_at=expires_at
    )
    return reset, Event(data=told, subject=str(reset.reset_id), version=1)


async def confirm_reset(database: Database, kit: Kit, given: ResetConfirmation, ip: str) -> None:
    """Raises TooManyAttempts, CodeRefused, WeakPassword (and then the code stays good)."""
    code_hash = codes.hash_code(given.code)
    # Only the code is guessed here: who has it may take some tries to choose a good password.
    async with kit.throttle.attempt("redeem", code_hash, ip):
        reset, account = await _reset_of_code(database, code_hash)
    rules.require_strong(
        given.new_password,
        email=account.email_normalised,
        is_platform_admin=account.is_platform_admin,
        pointer="/new_password",
    )
    password_hash = await kit.passwords.hash(given.new_password)
    async with database.transaction() as tx:
        if not await queries.use_reset(tx, reset.reset_id):
            raise CodeRefused
        await _set_password(tx, kit, account.user_id, password_hash)


async def _reset_of_code(database: Database, code_hash: str) -> tuple[Reset, Account]:
    reset = await queries.open_reset(database.reader(), code_hash, now=clock.now())
    account = await accounts.account(database.reader(), reset.user_id) if reset else None
    if reset is None or account is None or not account.is_active:
        raise CodeRefused
    return reset, account


async def _set_password(tx: Tx, kit: Kit, user_id: UUID, password_hash: str) -> None:
    await accounts.set_password(tx, user_id, password_hash=password_hash)
    await queries.forget_resets(tx, [user_id])
    kit.revocations.tell(tx, await sessions.revoke_of_user(tx, user_id, now=clock.now()))
