"""Which wish wins. Pure: everything that decides comes in as arguments."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from services.notification.preferences.schemas import (
    EVERY_CHILD,
    Channel,
    Choice,
    Choices,
    EffectiveChoice,
    Frequency,
    Group,
    Policy,
    PreferencesRequest,
    Route,
    Wishes,
)
from shared import clock
from shared.identity import Role
from shared.problems import FieldError, Invalid, NotFound

GROUP_OF: Final[Mapping[str, Group]] = {
    "absence_alert": "absences",
    "absence_correction": "absences",
    "absence_report": "absence_reports",
    "absence_answer": "absence_reports",
    "register_reminder": "registers",
    "announcement": "announcements",
    "announcement_held": "announcements",
}
GROUPS_OF: Final[Mapping[str, Sequence[Group]]] = {
    Role.GUARDIAN: ("absences", "absence_reports", "announcements"),
    Role.TEACHER: ("registers", "announcements"),
    Role.STUDENT: ("announcements",),
    Role.SCHOOL_ADMIN: ("absence_reports", "registers", "announcements"),
}
"""What each role is told of at all."""
CHANNELS: Final[Sequence[Channel]] = ("in_app", "email")
UNLESS_CHOSEN: Final[Frequency] = "at_once"
OFTEN: Final[Mapping[str, int]] = {"never": 0, "daily_digest": 1, "at_once": 2}


class MandatoryNotice(Invalid):
    slug = "mandatory-notice"
    title = "The school insists that everybody is told of this"


class UnreadablePreferences(Invalid):
    slug = "unreadable-preferences"
    title = "The preferences cannot be saved as they are"


class UnreadablePolicy(Invalid):
    slug = "unreadable-policy"
    title = "The policy cannot be saved as it is"


def least(policy: Policy, group: Group, channel: Channel) -> Frequency:
    """How seldom somebody may be told of this group at the most."""
    if group in policy.at_once:
        return "at_once"
    if group in policy.at_least_daily:
        return "at_once" if channel == "in_app" else "daily_digest"
    return "never"


def more_often(one: Frequency, other: Frequency) -> Frequency:
    return max(one, other, key=lambda each: OFTEN[each])


def chosen(choices: Choices, student_id: UUID, group: Group, channel: Channel) -> Frequency:
    """For one child; what was not chosen for it is as for all children."""
    for_all = choices.get((EVERY_CHILD, group, channel), UNLESS_CHOSEN)
    return choices.get((student_id, group, channel), for_all)


def effective(wishes: Wishes, group: Group, channel: Channel, student_ids: Collection[UUID]) -> Frequency:
    """How often somebody is told of what concerns these children: as they want it for the child they want it most for,
    and no less than the school insists on.
    """
    result = least(wishes.policy, group, channel)
    for student_id in student_ids or (EVERY_CHILD,):
        result = more_often(result, chosen(wishes.choices, student_id, group, channel))
    return result


def route(wishes: Wishes, category: str, student_ids: Collection[UUID], *, is_emergency: bool) -> Route:
    """How a notice goes to somebody. An emergency is told at once, in the app and by mail, whatever was chosen."""
    if is_emergency:
        return Route(in_app=True, email="at_once", is_urgent=True)
    group = GROUP_OF[category]
    return Route(
        in_app=effective(wishes, group, "in_app", student_ids) != "never",
        email=effective(wishes, group, "email", student_ids),
        is_urgent=category == "absence_alert" and wishes.policy.alerts_break_quiet_hours,
    )


def effective_choices(wishes: Wishes, role: str, children: Sequence[UUID]) -> list[EffectiveChoice]:
    """Everything that somebody with this role may be told, for all children and for each."""
    return [
        EffectiveChoice(
            student_id=None if student_id == EVERY_CHILD else student_id,
            group=group,
            channel=channel,
            frequency=effective(wishes, group, channel, [student_id]),
            is_mandatory=least(wishes.policy, group, channel) != "never",
            least=least(wishes.policy, group, channel),
        )
        for student_id in (EVERY_CHILD, *children)
        for group in GROUPS_OF.get(role, ())
        for channel in CHANNELS
    ]


def require_possible(
    request: PreferencesRequest, policy: Policy, children: Collection[UUID], saved: Choices | None = None
) -> None:
    """Raises NotFound for a child that is not the caller's, UnreadablePreferences with every fault, MandatoryNotice for
    less than the school insists on. What is saved from before it insisted, and does not count, may stand.
    """
    if any(each.student_id is not None and each.student_id not in children for each in request.choices):
        raise NotFound
    errors = _faults(request)
    if errors:
        raise UnreadablePreferences("Nothing was saved.", errors=errors)
    muted = [
        FieldError(f"/choices/{number}/frequency", f"The school insists on `{needed}` at least.")
        for number, each in enumerate(request.choices)
        for needed in [least(policy, each.group, each.channel)]
        if OFTEN[each.frequency] < OFTEN[needed] and not _stands(each, saved or {})
    ]
    if muted:
        raise MandatoryNotice("Nothing was saved.", errors=muted)


def _stands(choice: Choice, saved: Choices) -> bool:
    return saved.get((choice.student_id or EVERY_CHILD, choice.group, choice.channel)) == choice.frequency


def _faults(request: PreferencesRequest) -> list[FieldError]:
    errors: list[FieldError] = []
    if request.time_zone is not None and not clock.is_time_zone(request.time_zone):
        errors.append(FieldError("/time_zone", "Not an IANA time zone, such as Europe/Berlin."))
    quiet = request.quiet_hours
    for name, at in (("starts_at", quiet.starts_at), ("ends_at", quiet.ends_at)) if quiet else ():
        if at.second or at.microsecond:
            errors.append(FieldError(f"/quiet_hours/{name}", "A whole minute, such as 21:30:00."))
    if quiet is not None and quiet.starts_at == quiet.ends_at:
        errors.append(FieldError("/quiet_hours/ends_at", "Quiet hours end at another time than they begin."))
    seen: set[tuple[UUID | None, Group, Channel]] = set()
    for number, each in enumerate(request.choices):
        if each.channel == "in_app" and each.frequency == "daily_digest":
            errors.append(FieldError(f"/choices/{number}/frequency", "In the app: `at_once` or `never`."))
        if (each.student_id, each.group, each.channel) in seen:
            errors.append(FieldError(f"/choices/{number}", "Chosen twice."))
        seen.add((each.student_id, each.group, each.channel))
    return errors


def require_clear(policy: Policy) -> None:
    """Raises UnreadablePolicy for a group that stands in both lists."""
    both = sorted(set(policy.at_once) & set(policy.at_least_daily))
    if both:
        raise UnreadablePolicy(
            "Nothing was saved.", errors=[FieldError("/at_least_daily", f"Also in `at_once`: {', '.join(both)}.")]
        )


def as_choices(saved: Sequence[Choice]) -> Choices:
    return {(each.student_id or EVERY_CHILD, each.group, each.channel): each.frequency for each in saved}
