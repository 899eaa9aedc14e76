"""The HTTP side of school: the directory, a school's settings and calendar, and the roster that imports send."""

from services.school.access import PERMISSIONS
from services.school.caches import KINDS
from services.school.calendar import routes as calendar
from services.school.directory import routes as directory
from services.school.rooms import routes as rooms
from services.school.roster import routes as roster
from services.school.rotations import routes as rotations
from services.school.schools import routes as schools
from services.school.settings import Settings
from services.school.today import routes as today
from shared import clock
from shared.identity import Verifier
from shared.settings import SettingsError
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    """Raises SettingsError when the default time zone is none."""
    if not clock.is_time_zone(settings.default_time_zone):
        raise SettingsError("DEFAULT_TIME_ZONE: not an IANA name")
    return build_app(
        "school",
        settings,
        routers=[
            directory.router,
            schools.router,
            calendar.router,
            rotations.router,
            rooms.router,
            roster.router,
            today.router,
        ],
        permissions=PERMISSIONS,
        verifier=verifier,
        caches=KINDS,
    )
