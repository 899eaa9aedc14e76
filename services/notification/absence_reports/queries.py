"""What was heard last of each report."""

from typing import LiteralString
from uuid import UUID

from shared.database import Tx

TAKE_IN: LiteralString = """
INSERT INTO absence_report (school_id, absence_report_id, version)
VALUES (%(school_id)s, %(absence_report_id)s, %(version)s)
ON CONFLICT (school_id, absence_report_id) DO UPDATE
SET version = excluded.version
WHERE excluded.version > absence_report.version
"""


async def take_in(tx: Tx, school_id: UUID, absence_report_id: UUID, *, version: int) -> bool:
    """False for what says less than was heard already; nobody else takes in the same report until the tx ends."""
    taken = await tx.execute(TAKE_IN, school_id=school_id, absence_report_id=absence_report_id, version=version)
    return taken > 0
