"""Who belongs to which school as what."""

from uuid import UUID

from services.auth.memberships.schemas import Membership, SavedMembership
from shared.database import Reader, Tx, switch_school

AS_USER = """
SELECT set_config('app.user_id', %(user_id)s, true)
"""


async def as_user(tx: Tx, user_id: UUID) -> None:
    """Let the rest of the transaction see the memberships of a login that has proved to be who it says."""
    await tx.execute(AS_USER, user_id=str(user_id))


# By the policy `own`: a login's memberships at every school. Uses membership_user.
MEMBERSHIPS_OF_USER = """
SELECT membership.membership_id, membership.school_id, coalesce(school.name, '') AS school_name, membership.role,
       membership.person_id
FROM membership
LEFT JOIN school ON school.school_id = membership.school_id
WHERE membership.user_id = %(user_id)s
  AND membership.is_active
ORDER BY membership.membership_id
LIMIT 100
"""


async def memberships_of_user(reader: Reader, user_id: UUID) -> list[Membership]:
    """The active ones, the oldest first; the reader must be that user's."""
    return await reader.all(Membership, MEMBERSHIPS_OF_USER, user_id=user_id)


# Shared: those who sign in do not wait for each other, only for the membership's being ended.
HOLD = """
SELECT is_active
FROM membership
WHERE school_id = %(school_id)s
  AND membership_id = %(membership_id)s
  AND is_active
FOR SHARE
"""


async def hold(tx: Tx, membership: Membership) -> bool:
    """Whether it is still in force; then it stays so until the transaction ends.

    Its school becomes the tenant: a row that may only be read cannot be held.
    """
    await switch_school(tx, membership.school_id)
    return bool(await tx.value(bool, HOLD, school_id=membership.school_id, membership_id=membership.membership_id))


ADD_MEMBERSHIP = """
INSERT INTO membership (school_id, membership_id, user_id, role, person_id)
VALUES (%(school_id)s, %(membership_id)s, %(user_id)s, %(role)s, %(person_id)s)
ON CONFLICT (school_id, user_id, role, person_id) DO UPDATE
SET is_active = true, version = membership.version + 1
RETURNING membership_id, user_id, role, person_id,
          (SELECT account.email FROM account WHERE account.user_id = membership.user_id AND person_id IS NULL) AS email,
          is_active, version
"""


async def add_membership(
    tx: Tx, school_id: UUID, *, membership_id: UUID, user_id: UUID, role: str, person_id: UUID | None
) -> SavedMembership:
    """One that ended comes back with its own id."""
    saved = await tx.one(
        SavedMembership,
        ADD_MEMBERSHIP,
        school_id=school_id,
        membership_id=membership_id,
        user_id=user_id,
        role=role,
        person_id=person_id,
    )
    assert saved is not None
    return saved


# A person's login is the one that can read mail at the person's address. Uses membership_person.
FOLLOW_PERSON = """
UPDATE membership
SET is_active = now_is.is_active, version = membership.version + 1
FROM (
    SELECT account.user_id,
           %(is_active)s AND account.email_normalised = coalesce(%(email)s::text, account.email_normalised)
               AS is_active
    FROM account
) AS now_is
WHERE membership.school_id = %(school_id)s
  AND membership.person_id = %(person_id)s
  AND now_is.user_id = membership.user_id
  AND membership.is_active <> now_is.is_active
RETURNING membership.membership_id, membership.user_id, membership.role, membership.person_id, NULL AS email,
          membership.is_active, membership.version
"""


async def follow_person(
    tx: Tx, school_id: UUID, *, person_id: UUID, is_active: bool, email_normalised: str | None
) -> list[SavedMembership]:
    """Make the memberships of a person what the person's record now says; those that changed."""
    return await tx.all(
        SavedMembership,
        FOLLOW_PERSON,
        school_id=school_id,
        person_id=person_id,
        is_active=is_active,
        email=email_normalised,
    )
