"""Signing in and out, refreshing, switching between schools."""

from datetime import timedelta
from uuid import UUID

from services.auth import codes, emails
from services.auth.accounts import queries as accounts
from services.auth.accounts.schemas import Account
from services.auth.keys.signer import LoadedKey
from services.auth.kit import Kit
from services.auth.memberships import queries as memberships
from services.auth.sessions import measures, queries, rules
from services.auth.sessions.rules import Presented, SessionOver, WrongCredentials
from services.auth.sessions.schemas import AccessToken, Me, PresentedToken, Session, SignedIn, SignIn
from services.auth.sessions.tokens import access_token, open_session, signed_in
from shared import clock
from shared.database import Database, Tx
from shared.identity import Caller
from shared.problems import NotFound


async def sign_in(database: Database, kit: Kit, given: SignIn, ip: str) -> SignedIn:
    """Raises TooManyAttempts, WrongCredentials, NoMembership, Unavailable."""
    # Before anything is asked for them: who is told to come again must cost next to nothing.
    kit.passwords.require_room()
    email = emails.normalised(given.email)
    account = await accounts.account_by_email(database.reader(), email)
    await check_password(kit, account, email=email, password=given.password, ip=ip)
    key = await kit.signer.key(database)
    async with database.transaction() as tx:
        return await open_session(tx, kit, key, await still(tx, account))


async def check_password(kit: Kit, account: Account | None, *, email: str, password: str, ip: str) -> None:
    """Every path that looks at a password comes through here. Raises TooManyAttempts, WrongCredentials, Unavailable."""
    password_hash = account.password_hash if account and account.is_active else None
    async with kit.throttle.attempt("sign-in", email, ip):
        if not await kit.passwords.matches(password_hash, password):
            raise WrongCredentials


async def still(tx: Tx, account: Account | None) -> Account:
    """The login whose password was checked, unless it was changed meanwhile. Raises WrongCredentials."""
    assert account is not None, "no password matches where there is no login"
    found = await accounts.account_unchanged(tx, account.user_id, password_hash=account.password_hash)
    if found is None:
        raise WrongCredentials
    return found


async def refresh(database: Database, kit: Kit, refresh_token: str) -> SignedIn:
    """The next tokens. Raises SessionOver; a token that was reused ends its session, and that stands."""
    key = await kit.signer.key(database)
    async with database.transaction() as tx:
        token = await queries.lock_session_of_token(tx, codes.hash_code(refresh_token))
        result = await _refreshed(tx, kit, key, token) if token else None
    if result is None:
        raise SessionOver
    return result


async def _refreshed(tx: Tx, kit: Kit, key: LoadedKey, token: PresentedToken) -> SignedIn | None:
    """None, when the session is over: raising here would undo its revocation."""
    idle = timedelta(days=kit.settings.refresh_idle_days)
    presented = rules.judge(token, now=clock.now(), idle=idle)
    account = await accounts.account(tx, token.user_id)
    if presented is Presented.OVER:
        return None
    if presented is Presented.REUSED or account is None or not account.is_active:
        return await _end(tx, kit, token.session_id)
    return await _next_tokens(tx, kit, key, account, token, rotates=presented is Presented.CURRENT)


async def _next_tokens(
    tx: Tx, kit: Kit, key: LoadedKey, account: Account, token: PresentedToken, *, rotates: bool
) -> SignedIn | None:
    """None, when the session's membership has ended: a session is for one, and never slips into another.

    The membership is not held, as the session is already: who ends it finds this session, and waits for it.
    """
    await memberships.as_user(tx, account.user_id)
    found = await memberships.memberships_of_user(tx, account.user_id)
    chosen = rules.with_id(found, token.membership_id)
    if chosen is None and not rules.needs_none(account, token.membership_id):
        return await _end(tx, kit, token.session_id)
    told = await _rotate(tx, kit, token) if rotates else kit.own_seal.open(token.sealed_token)
    return signed_in(key, account, found, chosen, session_id=token.session_id, token=told, now=clock.now())


async def _rotate(tx: Tx, kit: Kit, token: PresentedToken) -> str:
    told, generation = codes.new_code(), token.generation + 1
    sealed = kit.own_seal.close(told)
    await queries.rotate(tx, token.session_id, generation=generation, sealed_token=sealed, now=clock.now())
    await queries.add_refresh_token(tx, codes.hash_code(told), session_id=token.session_id, generation=generation)
    return told


async def _end(tx: Tx, kit: Kit, session_id: UUID) -> None:
    kit.revocations.tell(tx, await queries.revoke(tx, session_id, now=clock.now()))


async def sign_out(database: Database, kit: Kit, caller: Caller) -> None:
    """Again changes nothing."""
    async with database.transaction() as tx:
        await _end(tx, kit, caller.session_id)


async def switch(database: Database, kit: Kit, caller: Caller, membership_id: UUID) -> AccessToken:
    """A token for another of the caller's memberships; the session remembers it. Raises NotFound, SessionOver."""
    key = await kit.signer.key(database)
    async with database.transaction(user_id=caller.user_id) as tx:
        account = await live_account(tx, caller)
        found = await memberships.memberships_of_user(tx, caller.user_id)
        chosen = rules.with_id(found, membership_id)
        # Held before the session is touched, as in `held_choice`.
        if chosen is None or not await memberships.hold(tx, chosen):
            raise NotFound
        await queries.choose_membership(tx, caller.session_id, membership_id)
    return access_token(key, account, chosen, session_id=caller.session_id, now=clock.now())


async def require_live(database: Database, caller: Caller) -> None:
    """Raises SessionOver, also when the login was closed."""
    if not await queries.is_live(database.reader(is_fresh=True), caller.session_id, user_id=caller.user_id):
        raise SessionOver


async def live_account(tx: Tx, caller: Caller) -> Account:
    """The caller's login. Raises SessionOver, even while the access token itself is still good."""
    await live_session(tx, caller)
    account = await accounts.account(tx, caller.user_id)
    if account is None or not account.is_active:
        raise SessionOver
    return account


async def live_session(tx: Tx, caller: Caller) -> Session:
    """Raises SessionOver."""
    session = await queries.live_session(tx, caller.session_id, user_id=caller.user_id)
    if session is None:
        raise SessionOver
    return session


async def me(database: Database, caller: Caller) -> Me:
    """Raises SessionOver."""
    async with database.transaction(user_id=caller.user_id) as tx:
        account = await live_account(tx, caller)
        found = await memberships.memberships_of_user(tx, caller.user_id)
    current = next(
        (each for each in found if (each.school_id, each.person_id) == (caller.school_id, caller.person_id)), None
    )
    return rules.me(account, found, current)


async def tell_of_revoked(database: Database, kit: Kit) -> None:
    """Redis may have missed some, or lost them: tell again of each whose access tokens still live."""
    since = clock.now() - timedelta(seconds=kit.settings.access_token_s)
    await kit.revocations.tell_now(await queries.revoked_since(database.reader(), since))


async def prune(database: Database, kit: Kit) -> bool:
    """Forget sessions that ended long ago; whether there is more."""
    before = clock.now() - timedelta(days=kit.settings.refresh_idle_days + 1)
    async with database.transaction() as tx:
        pruned = await queries.prune_sessions(tx, before)
    measures.observe(each.seconds for each in pruned)
    return bool(pruned)


async def measure(database: Database, kit: Kit) -> None:
    """How many people are at it: their front ends refresh before their access tokens end."""
    since = clock.now() - timedelta(seconds=kit.settings.access_token_s)
    measures.SESSIONS_ACTIVE.set(await queries.count_active(database.reader(), since))
