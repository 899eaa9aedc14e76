"""A mail server in the test's own loop that keeps what it is given, or behaves as badly as it is told."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

Mood = Literal[
    "well",
    "refuses_for_now",
    "refuses_sender",
    "refuses_recipient",
    "refuses_mail",
    "mumbles",
    "hangs",
    "drops_in_data",
    "drops_after",
]


class MailServer:
    def __init__(self) -> None:
        self.mood: Mood = "well"
        self.takes_utf8 = False
        self.mails: list[EmailMessage] = []
        self.connections = 0
        self.logins: list[object] = []
        """What was said to sign in, over a line that anybody can read."""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server
        return f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if address in str(mail["To"])]

    def _protocol(self) -> SMTP:
        self.connections += 1
        return SMTP(
            self,
            hostname="mail.test",
            enable_SMTPUTF8=self.takes_utf8,
            authenticator=self._sign_in,
            auth_require_tls=False,
        )

    def _sign_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, told: object) -> AuthResult:
        self.logins.append(told)
        return AuthResult(success=True)

    async def handle_MAIL(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mood == "refuses_sender":
            return "530 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        match self.mood:
            case "refuses_for_now":
                return "451 Try again later"
            case "refuses_recipient":
                return "550 No such mailbox"
            case "hangs":
                await asyncio.sleep(30)
            case "drops_in_data":
                # Says that it will listen, and leaves.
                cast("Any", server.transport).close()
            case _:
                pass
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.mood == "refuses_mail":
            return "554 Looks like spam"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        if self.mood == "mumbles":
            # The first of two lines, in another encoding than any that was agreed on.
            cast("Any", server.transport).write(b"250-\xdcbernommen\x00\r\n")
        if self.mood == "drops_after":
            cast("Any", server.transport).close()
        return "250 OK: taken over as 42"
