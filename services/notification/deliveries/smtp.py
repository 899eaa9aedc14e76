"""A mail server, spoken to by one sender."""

import asyncio
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from services.notification.deliveries.schemas import Answer

ANSWER_LENGTH: Final = 500


class Smtp:
    """One connection, kept from mail to mail until `close`."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """`url` as in Settings.smtp_url; `timeout_s` is for one attempt as a whole."""
        self._url = urlsplit(url)
        self._port = self._url.port
        self._timeout_s = timeout_s
        self._client: SMTP | None = None

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> Answer:
        """Hand over one mail. Never raises for what the server or the network does.

        Refused for good is only what the server says of this recipient or this mail; everything else, our own
        credentials too, can be mended and is worth another attempt.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
                _, text = await client.send_message(message, sender=sender, recipients=[recipient])
        except SMTPRecipientsRefused as error:
            return _refused(error.recipients[0].code, error.recipients[0].message)
        except SMTPDataError as error:
            return _refused(error.code, error.message)
        except (SMTPNotSupported, ValueError) as error:
            # An address that this server, or the protocol, has no letters for.
            return Answer(kind="refused_for_good", text=_short(str(error)))
        except SMTPResponseException as error:
            self._drop()
            return Answer(kind="refused_for_now", text=_short(f"{error.code} {error.message}"))
        except (SMTPException, OSError, TimeoutError) as error:
            self._drop()
            return Answer(kind="refused_for_now", text=_short(f"{type(error).__name__}: {error}"))
        return Answer(kind="accepted", text=_short(text))

    async def close(self) -> None:
        """Say goodbye, if there is anybody; the next mail connects again."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await client.quit(timeout=1)
        except (SMTPException, OSError, TimeoutError):
            client.close()

    async def _connected(self) -> SMTP:
        if self._client is None or not self._client.is_connected:
            self._client = SMTP(
                hostname=self._url.hostname,
                port=self._port,
                username=unquote(self._url.username) if self._url.username else None,
                password=unquote(self._url.password) if self._url.password else None,
                use_tls=self._url.scheme == "smtps",
                # A password goes over TLS or not at all; without one, TLS is taken where it is offered.
                start_tls=True if self._url.scheme == "smtp" and self._url.username else None,
                timeout=self._timeout_s,
            )
            try:
                await self._client.connect()
            except SMTPNotSupported as error:
                # Of a way to sign in: no fault of the mail that happens to be the first.
                raise SMTPException(str(error)) from error
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _refused(code: int, message: str) -> Answer:
    return Answer(
        kind="refused_for_good" if code >= 500 else "refused_for_now",
        text=_short(f"{code} {message}"),
    )


def _short(text: str) -> str:
    """What a server says may hold bytes that are no text; a mail that it took must not be sent again for that."""
    return "".join(char if char.isprintable() else " " for char in text)[:ANSWER_LENGTH]
