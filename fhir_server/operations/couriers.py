"""How messages reach parents: by email, by a provider of text messages, or into a folder for the demo.

A message is given to a provider and not tracked further. Which provider, the operator's TOML file says.
"""

import asyncio
import os
import secrets
import smtplib
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from fhir_server.access import outbound
from fhir_server.access.private import refuse_readable
from fhir_server.settings import Settings

SECONDS = 20.0
EMAIL, SMS = "email", "sms"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_SUCCESS = range(200, 300)


class Courier(Protocol):
    """Gives messages to a provider. media: the kinds of address it reaches, the better one first."""

    @property
    def media(self) -> tuple[str, ...]:
        """Say which."""
        ...

    async def send(self, to: str, subject: str, body: str) -> None:
        """Give one message; raises OSError where the provider does not take it."""
        ...


@dataclass(frozen=True, slots=True)
class FileCourier:
    """Writes each message into a folder, for its owner alone: it holds a link."""

    folder: Path
    media: tuple[str, ...] = (EMAIL, SMS)

    async def send(self, to: str, subject: str, body: str) -> None:
        """Write a file."""
        await asyncio.to_thread(self._write, f"To: {to}\nSubject: {subject}\n\n{body}\n")

    def _write(self, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        descriptor = os.open(self.folder / f"{secrets.token_hex(16)}.txt", flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)


@dataclass(frozen=True, slots=True)
class SmtpCourier:
    """Sends emails by SMTP with TLS, from its first byte or by STARTTLS; plain on this machine alone."""

    host: str
    port: int
    sender: str
    tls: str = "starttls"
    user: str | None = None
    password: str = ""
    media: tuple[str, ...] = (EMAIL,)

    async def send(self, to: str, subject: str, body: str) -> None:
        """Send one email, in a thread."""
        made = EmailMessage()
        made["From"], made["To"], made["Subject"] = self.sender, to, subject
        made["Auto-Submitted"] = "auto-generated"
        made.set_content(body, cte="quoted-printable")  # what every relay passes on
        await asyncio.to_thread(self._send, made)

    def _send(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        if self.tls == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        with connection:
            if self.tls == "starttls":
                connection.starttls(context=context)
            if self.user is not None:
                connection.login(self.user, self.password)
            connection.send_message(message)


@dataclass(frozen=True, slots=True)
class HttpCourier:
    """Gives text messages to a provider by one POST of JSON: number, text, and what it asks beside."""

    url: str
    to: str
    text: str
    more: Mapping[str, Any]
    authorization: str | None = None
    media: tuple[str, ...] = (SMS,)

    async def send(self, to: str, subject: str, body: str) -> None:
        """Send one message; the subject is not a part of it."""
        del subject
        headers = {"Authorization": self.authorization} if self.authorization else {}
        sent = {**self.more, self.to: to, self.text: body}
        try:
            async with outbound.client(SECONDS, proxied=True) as http:
                answer = await http.post(self.url, json=sent, headers=headers)
        except httpx.HTTPError as failure:
            raise OSError(type(failure).__name__) from None
        if answer.status_code not in _SUCCESS:
            raise OSError(f"the provider answered {answer.status_code}")


def courier(settings: Settings) -> Courier | None:
    """Return the courier of the settings, None where nothing is sent.

    Raises ValueError for a file that says not all of it, or that sends secrets in the clear.
    """
    kind, file = settings.survey_sender, settings.survey_sender_file
    if kind == "off":
        return None
    if file is None:
        raise ValueError(f"CSOR_SURVEY_SENDER={kind} needs a file: CSOR_SURVEY_SENDER_FILE")
    try:
        table = tomllib.loads(file.read_text("utf-8"))[kind]
        return _MADE[kind](table, file.parent)
    except KeyError as missing:
        raise ValueError(f"{file} has no {missing}, which {kind} needs") from None
    except (TypeError, ValueError) as wrong:
        raise ValueError(f"{file} does not say how to send by {kind}: {wrong}") from None


def _file(table: Mapping[str, Any], beside: Path) -> Courier:
    return FileCourier(beside / table["folder"])


def _smtp(table: Mapping[str, Any], beside: Path) -> Courier:
    tls = table.get("tls", "starttls")
    if tls not in ("tls", "starttls") and not (tls == "none" and table["host"] in _LOCAL):
        raise ValueError("tls is starttls or tls, and none on this machine alone")
    password = _secret(table, "password_file", beside) or ""
    host, port, user = table["host"], int(table["port"]), table.get("user")
    return SmtpCourier(host, port, table["sender"], tls, user, password)


def _http(table: Mapping[str, Any], beside: Path) -> Courier:
    parts = urlsplit(table["url"])
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise ValueError("the url begins with https://")
    authorization = _secret(table, "authorization_file", beside)
    more = dict(table.get("more", {}))
    return HttpCourier(table["url"], table["to"], table["text"], more, authorization)


def _secret(table: Mapping[str, Any], name: str, beside: Path) -> str | None:
    """Return what stands in a file that a table names; secrets have files of their own."""
    if name not in table:
        return None
    file: Path = beside / table[name]
    refuse_readable(file)
    return file.read_text("utf-8").strip()


_MADE = {"file": _file, "smtp": _smtp, "http": _http}
