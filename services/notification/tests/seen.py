"""What people find when they look."""

from typing import Any
from uuid import UUID

import httpx

from services.notification.tests.factories import School
from shared.testing.tokens import Tokens

INBOX = "/api/v1/inbox"


class Seen:
    """The inboxes of a school, each as its owner sees it."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens, school: School) -> None:
        self._client, self._tokens, self._school = client, tokens, school

    async def items(self, person_id: UUID, role: str = "guardian", **query: Any) -> list[dict[str, Any]]:
        return (await self._asked("GET", INBOX, person_id, role, **query))["items"]

    async def titles(self, person_id: UUID, role: str = "guardian", **query: Any) -> list[str]:
        return [each["title"] for each in await self.items(person_id, role, **query)]

    async def unread(self, person_id: UUID, role: str = "guardian") -> int:
        return (await self._asked("GET", f"{INBOX}/unread-count", person_id, role))["unread_count"]

    async def reads_all(self, person_id: UUID, role: str = "guardian") -> None:
        await self._asked("POST", f"{INBOX}/read-all", person_id, role)

    async def _asked(self, method: str, path: str, person_id: UUID, role: str, **query: Any) -> Any:
        who = {"user_id": person_id} if role == "school_admin" else {"person_id": person_id}
        headers = self._tokens.headers(role, school_id=self._school.school_id, **who)
        answer = await self._client.request(method, path, headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()
