"""Saving the roster of a district, and reading out all schools.

The schools of a district are tenants of their own: in one transaction, each becomes the tenant in turn (ADR 0501).
"""

from collections.abc import Sequence
from uuid import UUID

from services.school.calendar import actions as calendars
from services.school.calendar import queries as calendar
from services.school.calendar.rules import default_bell_periods
from services.school.directory import queries as directory
from services.school.directory.schemas import DirectoryEntry, RosterEntry
from services.school.roster import rules
from services.school.schools import actions as schools
from services.school.schools import queries as school_queries
from services.school.schools.rules import as_event, renamed
from services.school.schools.schemas import School
from shared.contracts.roster import RosterSchool, RosterSchoolSaved, RosterSession, RosterUpsert, RosterUpserted
from shared.contracts.school import DEFAULT_LOCALE, AcademicSession
from shared.database import Database, Tx, switch_school
from shared.ids import new_id

DEFAULT_GRACE_PERIOD_MINUTES = 10
DEFAULT_REGISTER_REMINDER_MINUTES = 15
DEFAULT_REGISTER_ESCALATION_MINUTES = 60


async def save_roster(database: Database, roster: RosterUpsert, *, default_time_zone: str) -> RosterUpserted:
    """Add what is new, change what is different; the same roster again changes and tells nothing.

    Raises InvalidRoster.
    """
    sessions = rules.require_consistent(roster)
    async with database.transaction() as tx:
        await directory.lock_district(tx, sourced_id=roster.district.sourced_id)
        district_id = await directory.save_district(
            tx, sourced_id=roster.district.sourced_id, name=roster.district.name
        )
        known = await directory.schools_of_district(tx, district_id=district_id)
        saved: list[RosterSchoolSaved] = []
        for each in roster.schools:
            entry = known.get(each.sourced_id)
            if entry is None:
                school = await _add_school(tx, district_id, each, sessions, time_zone=default_time_zone)
            else:
                school = await _change_school(tx, entry, each, sessions)
            saved.append(await _as_saved(tx, school, is_new=entry is None))
    return RosterUpserted(district_id=district_id, schools=saved)


async def snapshot(database: Database, *, after_id: UUID, limit: int) -> list[RosterSchoolSaved]:
    """All schools as they now are, by id, so that a read model can be made anew."""
    async with database.transaction() as tx:
        return [
            await _read_school(tx, school_id)
            for school_id in await directory.school_ids(tx, after_id=after_id, limit=limit)
        ]


async def _read_school(tx: Tx, school_id: UUID) -> RosterSchoolSaved:
    """The versions are read first: whatever changes meanwhile is told once more, under a higher one."""
    await switch_school(tx, school_id)
    school = await school_queries.school(tx, school_id=school_id)
    assert school is not None, "a school and its line in the directory are made together"
    return await _as_saved(tx, school, is_new=False)


async def _add_school(
    tx: Tx, district_id: UUID, new: RosterSchool, sessions: Sequence[RosterSession], *, time_zone: str
) -> School:
    school = School(
        school_id=new_id(),
        district_id=district_id,
        sourced_id=new.sourced_id,
        name=new.name,
        time_zone=time_zone,
        grace_period_minutes=DEFAULT_GRACE_PERIOD_MINUTES,
        register_reminder_minutes=DEFAULT_REGISTER_REMINDER_MINUTES,
        register_escalation_minutes=DEFAULT_REGISTER_ESCALATION_MINUTES,
        locale=DEFAULT_LOCALE,
        brand_colour=None,
        logo_url=None,
        version=1,
        calendar_version=1,
    )
    entry = DirectoryEntry(
        school_id=school.school_id, district_id=district_id, sourced_id=new.sourced_id, name=new.name
    )
    await directory.add_school(tx, entry=entry)
    await switch_school(tx, school.school_id)
    await school_queries.add_school(tx, school=school)
    await calendar.save_sessions(tx, school_id=school.school_id, sessions=_copies(sessions, known=()))
    await calendar.add_bell_periods(tx, school_id=school.school_id, periods=default_bell_periods())
    await schools.tell_of_school(tx, school)
    await calendars.publish_calendar(
        tx, await calendar.calendar(tx, school_id=school.school_id), version=school.calendar_version
    )
    return school


async def _change_school(tx: Tx, entry: RosterEntry, new: RosterSchool, sessions: Sequence[RosterSession]) -> School:
    """A name that was given at the school stays until the roster itself says another than before (ADR 0502)."""
    await switch_school(tx, entry.school_id)
    school = await schools.lock_school(tx, entry.school_id)
    if new.name != entry.roster_name:
        await directory.remember_roster_name(tx, school_id=entry.school_id, roster_name=new.name)
        school = await schools.save_school(tx, school, renamed(school, new.name))
    known = await calendar.all_sessions(tx, school_id=entry.school_id)
    if news := rules.news(_copies(sessions, known=known), known):
        await calendar.save_sessions(tx, school_id=entry.school_id, sessions=news)
        await calendars.tell_of_calendar(tx, entry.school_id)
    return await schools.lock_school(tx, entry.school_id)


def _copies(sessions: Sequence[RosterSession], *, known: Sequence[AcademicSession]) -> list[AcademicSession]:
    """The school's own copy of each; those that it has keep their ids."""
    kept = {each.sourced_id: each.academic_session_id for each in known if each.sourced_id}
    return rules.sessions_of(sessions, {each.sourced_id: kept.get(each.sourced_id) or new_id() for each in sessions})


async def _as_saved(tx: Tx, school: School, *, is_new: bool) -> RosterSchoolSaved:
    return RosterSchoolSaved(
        sourced_id=school.sourced_id,
        is_new=is_new,
        school=as_event(school),
        school_version=school.version,
        calendar=await calendar.calendar(tx, school_id=school.school_id),
        calendar_version=school.calendar_version,
    )
