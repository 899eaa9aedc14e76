"""What a front end can do, and a person with a mailbox: for the demo's loader and for the end-to-end tests."""

import email
import email.policy
import re
import time
import weakref
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

T = TypeVar("T")

CODE = re.compile(r"^Code: (\S+)\s*$", re.MULTILINE)


class Refused(Exception):
    """The answer was not a success; says what was asked and what was answered."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        request = response.request
        super().__init__(f"{request.method} {request.url.path}: {response.status_code} {response.text[:2000]}")


class NotInTime(Exception):
    """What was waited for did not come."""


class Mailbox:
    """The mails that were sent to anybody."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def mails_to(self, address: str) -> list[EmailMessage]:
        """All mails to one address, oldest first."""
        return [mail for mail in self._all() if address.lower() in str(mail["To"]).lower()]

    def codes_for(self, address: str) -> list[str]:
        """The one-time codes that were sent to an address, oldest first."""
        found = [CODE.search(mail.get_content()) for mail in self.mails_to(address)]
        return [match[1] for match in found if match]

    def code_for(self, address: str, *, after: int = 0, timeout_s: float = 30) -> str:
        """The newest code, once more than `after` were sent."""

        def newest() -> str | None:
            codes = self.codes_for(address)
            return codes[-1] if len(codes) > after else None

        return wait_for(newest, f"a mail with a code for {address}", timeout_s=timeout_s)

    def _all(self) -> Iterator[EmailMessage]:
        for path in sorted(self._directory.glob("[!.]*.eml")):
            yield email.message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=email.policy.default)


class Visitor:
    """Somebody at the gateway, signed in or not; one that is forgotten hangs up."""

    def __init__(self, gateway_url: str) -> None:
        self._http = httpx.Client(base_url=f"{gateway_url}/api/v1", timeout=60, trust_env=False)
        self.signed_in: dict[str, Any] = {}
        weakref.finalize(self, self._http.close)

    def from_address(self, ip: str) -> Self:
        """Be somebody else to a gateway that trusts who stands before it."""
        self._http.headers["X-Forwarded-For"] = ip
        return self

    def sign_in(self, address: str, password: str) -> Self:
        return self.carry(self.post("/auth/sign-in", email=address, password=password))

    def accept(self, code: str, password: str) -> Self:
        """Come in by an invite."""
        return self.carry(self.post("/auth/invites/accept", code=code, password=password))

    def choose(self, *, school: str | None = None, role: str | None = None) -> Self:
        """Take a token for another of one's schools or roles."""
        wanted = next(
            each
            for each in self.signed_in["memberships"]
            if school in {None, each["school_name"]} and role in {None, each["role"]}
        )
        return self.carry(self.signed_in | self.post("/auth/switch", membership_id=wanted["membership_id"]))

    def carry(self, signed_in: dict[str, Any]) -> Self:
        """Use these tokens from now on."""
        self.signed_in = signed_in
        self._http.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        return self

    def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        return self._http.request(method, path, **how)

    def get(self, path: str, **params: Any) -> Any:
        return self._answer(self.send("GET", path, params=params))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(self.send("POST", path, json=body))

    def put(self, path: str, **body: Any) -> Any:
        return self._answer(self.send("PUT", path, json=body))

    def patch(self, path: str, **body: Any) -> Any:
        return self._answer(self.send("PATCH", path, json=body))

    def upload(self, path: str, content: bytes, media_type: str) -> Any:
        return self._answer(self.send("POST", path, content=content, headers={"Content-Type": media_type}))

    def every(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page after page."""
        page = self.get(path, **params)
        yield from page["items"]
        while page["next"]:
            page = self.get(page["next"].removeprefix("/api/v1"))
            yield from page["items"]

    def wait_for_import(self, job_id: str, states: set[str], *, timeout_s: float = 120) -> dict[str, Any]:
        """The import once it is in one of these states."""

        def ended() -> dict[str, Any] | None:
            job = self.get(f"/imports/{job_id}")
            return job if job["state"] in states else None

        return wait_for(ended, f"the import to be {' or '.join(sorted(states))}", timeout_s=timeout_s, pause_s=0.3)

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if not response.is_success:
            raise Refused(response)
        return response.json() if response.content else None


def wait_for(look: Callable[[], T | None], what: str, *, timeout_s: float = 30, pause_s: float = 0.1) -> T:
    """What `look` finds, as soon as it finds something. Raises NotInTime."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise NotInTime(f"Waited {timeout_s:g} s in vain for {what}.")
        time.sleep(pause_s)
    return found
