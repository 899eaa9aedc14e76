"""Invites of one school; only the hash of a code is kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.auth.codes import hash_code
from services.auth.invites.schemas import Candidate, Invite, InviteState, NewInvite, OpenInvite, SavedInvite
from shared.database import Reader, Tx

CANDIDATES = """
SELECT person.person_id, person.name, person.email, person.email_normalised,
       CASE
           WHEN NOT person.is_active THEN 'inactive'
           WHEN EXISTS (
               SELECT FROM membership
               WHERE membership.school_id = person.school_id
                 AND membership.person_id = person.person_id
                 AND membership.is_active
           ) THEN 'has_login'
           WHEN person.email IS NULL THEN 'no_email'
           WHEN EXISTS (
               SELECT FROM invite
               WHERE invite.school_id = person.school_id
                 AND invite.person_id = person.person_id
                 AND invite.accepted_at IS NULL
                 AND invite.expires_at > %(now)s
           ) THEN 'invited'
       END AS reason
FROM person
WHERE person.school_id = %(school_id)s
  AND person.role = %(role)s
  AND CASE
      WHEN %(person_ids)s::uuid[] IS NULL THEN person.is_active
      ELSE person.person_id = ANY(%(person_ids)s::uuid[])
  END
ORDER BY person.person_id
LIMIT 20000
"""


async def candidates(
    reader: Reader, school_id: UUID, *, role: str, person_ids: Sequence[UUID] | None, now: datetime
) -> list[Candidate]:
    """The people asked for, or everybody active of the role."""
    asked = None if person_ids is None else list(person_ids)
    return await reader.all(Candidate, CANDIDATES, school_id=school_id, role=role, person_ids=asked, now=now)


# An expired invite is used again; an open one, made this moment by somebody else, is left alone.
ADD_INVITES = """
INSERT INTO invite (
    school_id, invite_id, role, person_id, name, email, email_normalised, code_hash, created_at, expires_at
)
SELECT %(school_id)s, invite_id, role, person_id, name, email, email_normalised, code_hash, created_at, expires_at
FROM unnest(
    %(invite_ids)s::uuid[], %(roles)s::text[], %(person_ids)s::uuid[], %(names)s::text[], %(emails)s::text[],
    %(emails_normalised)s::text[], %(code_hashes)s::text[], %(created_ats)s::timestamptz[],
    %(expires_ats)s::timestamptz[]
) AS added (invite_id, role, person_id, name, email, email_normalised, code_hash, created_at, expires_at)
ON CONFLICT (school_id, person_id) WHERE accepted_at IS NULL AND person_id IS NOT NULL DO UPDATE
SET name = excluded.name, email = excluded.email, email_normalised = excluded.email_normalised,
    code_hash = excluded.code_hash, expires_at = excluded.expires_at, version = invite.version + 1
WHERE invite.expires_at <= excluded.created_at
RETURNING invite_id, code_hash, version
"""


async def add_invites(tx: Tx, school_id: UUID, invites: Sequence[NewInvite]) -> list[SavedInvite]:
    """Those of them that now are."""
    return await tx.all(
        SavedInvite,
        ADD_INVITES,
        school_id=school_id,
        invite_ids=[each.invite_id for each in invites],
        roles=[each.role for each in invites],
        person_ids=[each.person_id for each in invites],
        names=[each.name for each in invites],
        emails=[each.email for each in invites],
        emails_normalised=[each.email_normalised for each in invites],
        code_hashes=[hash_code(each.code) for each in invites],
        created_ats=[each.created_at for each in invites],
        expires_ats=[each.expires_at for each in invites],
    )


# A second invite of the same address replaces the first: its code dies.
SAVE_ADMIN_INVITE = """
INSERT INTO invite (
    school_id, invite_id, role, name, email, email_normalised, code_hash, created_at, expires_at
)
VALUES (
    %(school_id)s, %(invite_id)s, %(role)s, %(name)s, %(email)s, %(email_normalised)s, %(code_hash)s,
    %(created_at)s, %(expires_at)s
)
ON CONFLICT (school_id, email_normalised) WHERE accepted_at IS NULL AND person_id IS NULL DO UPDATE
SET name = excluded.name, email = excluded.email, code_hash = excluded.code_hash,
    expires_at = excluded.expires_at, version = invite.version + 1
RETURNING invite_id, code_hash, version
"""


async def save_admin_invite(tx: Tx, school_id: UUID, invite: NewInvite) -> SavedInvite:
    saved = await tx.one(
        SavedInvite,
        SAVE_ADMIN_INVITE,
        school_id=school_id,
        invite_id=invite.invite_id,
        role=invite.role,
        name=invite.name,
        email=invite.email,
        email_normalised=invite.email_normalised,
        code_hash=hash_code(invite.code),
        created_at=invite.created_at,
        expires_at=invite.expires_at,
    )
    assert saved is not None
    return saved


REISSUE = """
UPDATE invite
SET email = %(email)s, email_normalised = %(email_normalised)s, code_hash = %(code_hash)s,
    expires_at = %(expires_at)s, version = version + 1
WHERE school_id = %(school_id)s
  AND invite_id = %(invite_id)s
  AND accepted_at IS NULL
RETURNING invite_id, code_hash, version
"""


async def reissue(tx: Tx, school_id: UUID, invite: NewInvite) -> SavedInvite | None:
    """None, when it was accepted."""
    return await tx.one(
        SavedInvite,
        REISSUE,
        school_id=school_id,
        invite_id=invite.invite_id,
        email=invite.email,
        email_normalised=invite.email_normalised,
        code_hash=hash_code(invite.code),
        expires_at=invite.expires_at,
    )


# By the policy `bearer`: the school is not known before. Uses invite_code.
INVITE_OF_CODE = """
SELECT school_id, invite_id, role, person_id, name, email, email_normalised
FROM invite
WHERE code_hash = %(code_hash)s
  AND accepted_at IS NULL
  AND expires_at > %(now)s
"""


async def invite_of_code(tx: Tx, code_hash: str, *, now: datetime) -> OpenInvite | None:
    """The transaction's capability must be the hash."""
    return await tx.one(OpenInvite, INVITE_OF_CODE, code_hash=code_hash, now=now)


# The person's row is held, and first, as an event of the person takes it before all else: either the event waits and
# then sees the membership, or this one waits and sees who has left.
ACCEPT = """
UPDATE invite
SET accepted_at = %(now)s
WHERE school_id = %(school_id)s
  AND invite_id = %(invite_id)s
  AND code_hash = %(code_hash)s
  AND accepted_at IS NULL
  AND expires_at > %(now)s
  AND (person_id IS NULL OR EXISTS (
      SELECT FROM person
      WHERE person.school_id = invite.school_id
        AND person.person_id = invite.person_id
        AND person.is_active
        AND coalesce(person.email_normalised, invite.email_normalised) = invite.email_normalised
      FOR SHARE
  ))
"""


async def accept(tx: Tx, school_id: UUID, invite_id: UUID, *, code_hash: str, now: datetime) -> bool:
    """True for exactly one of those who come with the same code, and only while the person is still there, who stays so
    until the transaction ends.
    """
    return await tx.execute(ACCEPT, school_id=school_id, invite_id=invite_id, code_hash=code_hash, now=now) == 1


EXPIRE_OUTDATED = """
UPDATE invite
SET expires_at = %(now)s
FROM person
WHERE invite.school_id = %(school_id)s
  AND invite.person_id = %(person_id)s
  AND invite.accepted_at IS NULL
  AND invite.expires_at > %(now)s
  AND person.school_id = invite.school_id
  AND person.person_id = invite.person_id
  AND NOT (
      person.is_active AND coalesce(person.email_normalised, invite.email_normalised) = invite.email_normalised
  )
"""


async def expire_outdated(tx: Tx, school_id: UUID, *, person_id: UUID, now: datetime) -> None:
    """An invite to who left, or to an address that is another's now, is good no more."""
    await tx.execute(EXPIRE_OUTDATED, school_id=school_id, person_id=person_id, now=now)


INVITE = """
SELECT invite_id AS id, role, person_id, name, email,
       CASE
           WHEN accepted_at IS NOT NULL THEN 'accepted'
           WHEN expires_at <= %(now)s THEN 'expired'
           ELSE 'pending'
       END AS state,
       created_at, expires_at
FROM invite
WHERE school_id = %(school_id)s
  AND invite_id = %(invite_id)s
"""


async def invite(reader: Reader, school_id: UUID, invite_id: UUID, *, now: datetime) -> Invite | None:
    return await reader.one(Invite, INVITE, school_id=school_id, invite_id=invite_id, now=now)


INVITES = """
SELECT id, role, person_id, name, email, state, created_at, expires_at
FROM (
    SELECT invite_id AS id, role, person_id, name, email,
           CASE
               WHEN accepted_at IS NOT NULL THEN 'accepted'
               WHEN expires_at <= %(now)s THEN 'expired'
               ELSE 'pending'
           END AS state,
           created_at, expires_at
    FROM invite
    WHERE school_id = %(school_id)s
      AND (%(before)s::uuid IS NULL OR invite_id < %(before)s::uuid)
) AS found
WHERE %(state)s::text IS NULL OR state = %(state)s::text
ORDER BY id DESC
LIMIT %(limit)s
"""


async def invites(
    reader: Reader, school_id: UUID, *, state: InviteState | None, before: UUID | None, now: datetime, limit: int
) -> list[Invite]:
    """The newest first."""
    return await reader.all(Invite, INVITES, school_id=school_id, state=state, before=before, now=now, limit=limit)
