"""What people want, what schools insist on, and what follows from both."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.notification.deliveries import queries as deliveries
from services.notification.digests import actions as digests
from services.notification.preferences import hours, queries, rules
from services.notification.preferences.schemas import (
    EVERY_CHILD,
    Choice,
    MailHours,
    Policy,
    Preferences,
    PreferencesRequest,
    Waiting,
    Wishes,
)
from services.notification.roster import queries as roster
from shared import clock
from shared.database import Database, Reader, Tx
from shared.identity import Caller, Role

BATCH: Final = 1000
"""Mails moved by one statement."""


async def wishes_of(reader: Reader, school_id: UUID, recipient_ids: Iterable[UUID]) -> dict[UUID, Wishes]:
    """Of each of these recipients, chosen or not."""
    wanted = list(dict.fromkeys(recipient_ids))
    school = await roster.school_settings(reader, school_id)
    policy = await queries.policy(reader, school_id)
    choices = await queries.choices(reader, school_id, wanted)
    chosen_hours = await queries.mail_hours(reader, school_id, wanted)
    return {
        each: Wishes(
            choices=choices.get(each, {}),
            quiet_hours=own.quiet_hours,
            time_zone=own.time_zone or school.time_zone,
            digest_hour=policy.digest_hour if own.digest_hour is None else own.digest_hour,
            policy=policy,
        )
        for each in wanted
        for own in [chosen_hours.get(each, MailHours(recipient_id=each))]
    }


async def preferences_of(reader: Reader, caller: Caller) -> Preferences:
    school_id, recipient_id = caller.school, caller.recipient_id
    wishes = (await wishes_of(reader, school_id, [recipient_id]))[recipient_id]
    own = (await queries.mail_hours(reader, school_id, [recipient_id])).get(recipient_id)
    children = await children_of(reader, caller)
    return Preferences(
        time_zone=own.time_zone if own else None,
        digest_hour=own.digest_hour if own else None,
        quiet_hours=wishes.quiet_hours,
        choices=_listed(wishes, children),
        effective_time_zone=wishes.time_zone,
        effective_digest_hour=wishes.digest_hour,
        effective=rules.effective_choices(wishes, caller.role, children),
    )


async def save_preferences(database: Database, caller: Caller, wanted: PreferencesRequest) -> Preferences:
    """Replace what the caller has chosen. Raises NotFound, UnreadablePreferences or MandatoryNotice."""
    school_id, recipient_id = caller.school, caller.recipient_id
    async with database.transaction(school_id=school_id) as tx:
        saved = (await queries.choices(tx, school_id, [recipient_id])).get(recipient_id)
        rules.require_possible(wanted, await queries.policy(tx, school_id), await children_of(tx, caller), saved)
        await queries.save_mail_hours(tx, school_id, recipient_id, wanted)
        await queries.replace_choices(tx, school_id, recipient_id, wanted.choices)
        await _look_again(tx, school_id, recipient_id)
        return await preferences_of(tx, caller)


async def _look_again(tx: Tx, school_id: UUID, recipient_id: UUID) -> None:
    """What waits for the end of quiet hours is judged by the new ones, and digests come at their hour."""
    wishes = (await wishes_of(tx, school_id, [recipient_id]))[recipient_id]
    now = clock.now()
    mails = dict.fromkeys(await deliveries.untried_for(tx, school_id, recipient_id), now)
    of_digests = await digests.due(tx, school_id, recipient_id, wishes)
    await deliveries.move(tx, school_id, mails | of_digests, now=now)


async def save_policy(database: Database, school_id: UUID, wanted: Policy) -> Policy:
    """Raises UnreadablePolicy."""
    rules.require_clear(wanted)
    async with database.transaction(school_id=school_id) as tx:
        await queries.save_policy(tx, school_id, wanted)
        await _look_at_all_again(tx, school_id)
    return wanted


async def _look_at_all_again(tx: Tx, school_id: UUID) -> None:
    """Of everybody at the school: digests come at their hour, and alerts are judged by the new policy."""
    now = clock.now()
    after = UUID(int=0)
    while page := await queries.waiting_by_policy(tx, school_id, after=after, limit=BATCH):
        wishes = await wishes_of(tx, school_id, [each.recipient_id for each in page])
        await deliveries.move(
            tx, school_id, {each.delivery_id: _due(each, wishes[each.recipient_id]) or now for each in page}, now=now
        )
        after = page[-1].delivery_id


def _due(waiting: Waiting, wishes: Wishes) -> datetime | None:
    """When a digest is due by these wishes; None for anything else."""
    if waiting.day is None:
        return None
    return hours.digest_at(waiting.day, wishes.digest_hour, wishes.quiet_hours, wishes.time_zone)


async def children_of(reader: Reader, caller: Caller) -> Sequence[UUID]:
    """Whom the caller may choose for."""
    if caller.role != Role.GUARDIAN:
        return []
    school = await roster.school_settings(reader, caller.school)
    today = clock.school_day(clock.now(), school.time_zone)
    return await queries.children(reader, caller.school, caller.recipient_id, today=today)


def _listed(wishes: Wishes, children: Sequence[UUID]) -> list[Choice]:
    """What was chosen, without children that are out of sight by now: as it was given, it can be saved again."""
    return [
        Choice(
            student_id=None if student_id == EVERY_CHILD else student_id,
            group=group,
            channel=channel,
            frequency=frequency,
        )
        for (student_id, group, channel), frequency in wishes.choices.items()
        if student_id == EVERY_CHILD or student_id in children
    ]
