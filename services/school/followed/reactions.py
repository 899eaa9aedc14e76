"""What the day of a school is made of, as its owners tell of it."""

from services.school.followed.actions import Followed, follow
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def told(tx: Tx, event: Followed, envelope: Envelope) -> None:
    """Whatever it is of: a row and its version."""
    assert envelope.schoolid is not None
    await follow(tx, envelope.schoolid, event, version=envelope.version)
