"""Schools and people, as far as this service must know them."""

from typing import Literal
from uuid import UUID

import msgspec

PersonRole = Literal["teacher", "guardian", "student"]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    person_id: UUID
    role: str
    name: str
    email: str | None
    email_normalised: str | None
    is_active: bool
