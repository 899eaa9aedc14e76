"""The HTTP side of academic: people, guardians, classes, lessons, registers, absences and imports."""

from litestar.di import Provide

from services.academic.absences import routes as absences
from services.academic.access import DECIDING, PERMISSIONS
from services.academic.attendance import routes as attendance
from services.academic.caches import KINDS
from services.academic.classes import routes as classes
from services.academic.enrolments import routes as enrolments
from services.academic.guardians import routes as guardians
from services.academic.imports import routes as imports
from services.academic.missing_registers import routes as missing_registers
from services.academic.people import routes as people
from services.academic.settings import Settings, objects_of
from services.academic.snapshots import routes as snapshots
from services.academic.timetable import routes as timetable
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    objects = objects_of(settings)
    return build_app(
        "academic",
        settings,
        routers=[
            people.router,
            guardians.router,
            classes.router,
            enrolments.router,
            timetable.router,
            attendance.router,
            absences.router,
            missing_registers.router,
            imports.router,
            snapshots.router,
        ],
        permissions=PERMISSIONS,
        verifier=verifier,
        caches=KINDS,
        deciding=DECIDING,
        dependencies={"objects": Provide(lambda: objects, sync_to_thread=False)},
    )
