"""The caller's own preferences, and what the school insists on."""

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.notification.preferences import actions, queries
from services.notification.preferences.rules import MandatoryNotice, UnreadablePolicy, UnreadablePreferences
from services.notification.preferences.schemas import Policy, Preferences, PreferencesRequest
from shared.database import Database
from shared.identity import Caller
from shared.problems import NotFound

OWN = {"permission": "preferences.own"}
POLICY = {"permission": "notification_policy.manage"}


@get(
    "/",
    operation_id="show_preferences",
    summary="What the caller has chosen to be told where and when, and what is done after the school's policy.",
    opt=OWN,
)
async def show_preferences(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> Preferences:
    return await actions.preferences_of(database.reader(school_id=caller.school), caller)


@put(
    "/",
    operation_id="save_preferences",
    summary="Replace what the caller has chosen; less than the school insists on is refused, where it is new.",
    opt={**OWN, "problems": (NotFound, MandatoryNotice, UnreadablePreferences)},
)
async def save_preferences(
    data: JSONBody[PreferencesRequest], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Preferences:
    return await actions.save_preferences(database, caller, data)


@get(
    "/",
    operation_id="show_notification_policy",
    summary="What the school insists that everybody is told of.",
    opt=POLICY,
)
async def show_policy(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> Policy:
    return await queries.policy(database.reader(school_id=caller.school), caller.school)


@put(
    "/",
    operation_id="save_notification_policy",
    summary="Say what everybody is told of, whatever they have chosen.",
    opt={**POLICY, "problems": (UnreadablePolicy,)},
)
async def save_policy(
    data: JSONBody[Policy], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Policy:
    return await actions.save_policy(database, caller.school, data)


router = Router("/api/v1/notification-preferences", route_handlers=[show_preferences, save_preferences])
policy_router = Router("/api/v1/notification-policy", route_handlers=[show_policy, save_policy])
