"""Broken on purpose: an import that commits after each school.

`python -m tests.chaos.broken.academic_per_school worker`
"""

from uuid import UUID

from services.academic.app import create_app
from services.academic.imports import district
from services.academic.settings import Settings
from services.academic.worker import create_worker
from shared.commands import run
from shared.database import Tx, switch_school


async def commit_and_switch(tx: Tx, school_id: UUID) -> None:
    await tx.execute("COMMIT")
    await tx.execute("BEGIN")
    await switch_school(tx, school_id)


if __name__ == "__main__":
    district.switch_school = commit_and_switch
    run("academic", settings=Settings, create_app=create_app, create_worker=create_worker)
