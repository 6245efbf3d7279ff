"""The registered clients: a TOML file of `[[client]]` tables, read again when it has changed.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fhir_server.access import app_scopes, public_keys, purpose, scopes
from fhir_server.access.eprs import is_safe
from fhir_server.access.roles import AUDITOR
from fhir_server.access.tables import hashes, hospitals, only, text
from fhir_server.context import ANALYST
from r4.json import decode, encode

logger = logging.getLogger("csor.access")

Door = Literal["fhir", "hl7v2"]
DOORS: tuple[Door, ...] = ("fhir", "hl7v2")
ROLES = (ANALYST, AUDITOR)
"""Roles that a client may have instead of the registry's or a hospital's."""
RESERVED = frozenset({"local", "unknown", "outcomes"})
"""Names that the audit has for others."""
_KEYS = (
    "name", "hospitals", "scopes", "jwks", "jwks_url", "token_sha256", "redirect_uris", "launch_url",
    "doors", "rate", "revoked", "reason", "role", "purpose",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client: its name, and what it is known by.

    tokens: SHA-256 of its bearer tokens, in hex. hospitals: ODS codes; none for a system of the
    registry's own. scopes: what it may ask for; None for whoever is not limited by scopes. jwks: its
    public keys as JSON, or jwks_url where they are published. role: one of ROLES, or as its hospitals
    say. purpose: why it asks, where a request does not say. rate: requests a second, None for the usual.
    redirect_uris: of an app, which acts for people who sign in; where it may send them back to.
    launch_url: where it is opened from the page of apps; None where it begins by itself alone.
    """

    name: str
    tokens: tuple[str, ...] = ()
    hospitals: frozenset[str] = frozenset()
    scopes: tuple[str, ...] | None = None
    jwks: bytes | None = None
    jwks_url: str | None = None
    doors: frozenset[str] = frozenset(DOORS)
    revoked: bool = False
    role: str | None = None
    purpose: str | None = None
    rate: float | None = None
    redirect_uris: tuple[str, ...] = ()
    launch_url: str | None = None

    @property
    def is_app(self) -> bool:
        """Whether it acts for people, and never for itself."""
        return bool(self.redirect_uris)

    @property
    def has_keys(self) -> bool:
        """Whether it proves who it is by a key of its own."""
        return self.jwks is not None or self.jwks_url is not None


def clients(file: Path | None) -> tuple[Client, ...]:
    """Read the registered clients; raises ValueError with the file's name, the client's and what is wrong."""
    if file is None:
        return ()
    return _read(file)[0]


class Clients:
    """The clients of a file as it is now.

    A file that becomes wrong while the server serves changes nothing, and is told in the log.
    Raises ValueError where it is wrong at start.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._files: tuple[Path, ...] = () if file is None else (file,)
        self._watched = [str(each) for each in self._files]
        self._seen: list[object] = []
        self._known: Mapping[str, Client] = {}
        if file is not None:
            self._seen = self._stamps()
            self._go_by(*_read(file))

    @property
    def known(self) -> Mapping[str, Client]:
        """The clients by name: another mapping once the file has changed."""
        if self._file is not None and (stamps := self._stamps()) != self._seen:
            self._seen = stamps
            try:
                self._go_by(*_read(self._file))
                logger.info("%s has changed: its clients are the registered ones", self._file)
            except ValueError as wrong:
                logger.error("the registered clients stay as they were: %s", wrong)  # noqa: TRY400 - the file is named
        return self._known

    def _go_by(self, listed: tuple[Client, ...], files: tuple[Path, ...]) -> None:
        self._known = {each.name: each for each in listed}
        if (
            files != self._files
        ):  # read again once they are watched: they may have changed meanwhile
            self._files, self._seen = files, []
            self._watched = [str(each) for each in files]

    def _stamps(self) -> list[object]:
        return [_stamp(each) for each in self._watched]


def _stamp(file: str) -> object:
    try:
        found = os.stat(file)  # noqa: PTH116 - at each request: Path.stat takes twice as long
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(file: Path) -> tuple[tuple[Client, ...], tuple[Path, ...]]:
    """Return the clients of a file, and the files that say who they are."""
    try:
        return of_text(file.read_text(), file.parent, file)
    except (OSError, ValueError) as wrong:
        raise ValueError(f"{file} does not say who the clients are: {wrong}") from None


def of_text(
    written: str, folder: Path, *files: Path
) -> tuple[tuple[Client, ...], tuple[Path, ...]]:
    """Read the clients of a file's text, and the files of keys that it names; raises ValueError."""
    tables = tomllib.loads(written)
    only(tables, {"client"}, "the file")
    if not isinstance(tables.get("client"), list):
        raise ValueError("it has no [[client]] tables.")  # noqa: TRY004 - the file is wrong
    read = list(files)
    found = tuple(_client(each, folder, read) for each in tables["client"])
    _refuse_twins(found)
    return found, tuple(read)


def _refuse_twins(found: tuple[Client, ...]) -> None:
    for what, listed in (
        ("name", [(each.name, each.name) for each in found]),
        ("token_sha256", [(token, each.name) for each in found for token in each.tokens]),
    ):
        seen: dict[str, str] = {}
        for key, name in listed:
            if key in seen:
                raise ValueError(f"two clients, {seen[key]} and {name}, have the same {what}.")
            seen[key] = name


def _client(table: dict[str, Any], folder: Path, read: list[Path]) -> Client:
    try:
        name = text(table, "name")
    except KeyError:
        raise ValueError("a [[client]] has no name.") from None
    whose = f"the client {name}"
    if name in RESERVED or not name.isprintable():
        raise ValueError(f"{whose} needs another name: {', '.join(sorted(RESERVED))} are taken.")
    only(table, _KEYS, whose)
    try:
        found = Client(
            name,
            tokens=hashes(table.get("token_sha256", ()), "token_sha256", whose, _HASHED),
            hospitals=hospitals(table["hospitals"], whose) if "hospitals" in table else frozenset(),
            scopes=_scopes(table),
            jwks=_jwks(table["jwks"], folder, read) if "jwks" in table else None,
            jwks_url=_url(text(table, "jwks_url")) if "jwks_url" in table else None,
            doors=_doors(table.get("doors", list(DOORS))),
            revoked=_flag(table.get("revoked", False)),
            role=_role(table["role"]) if "role" in table else None,
            purpose=purpose.known(text(table, "purpose")) if "purpose" in table else None,
            rate=_rate(table["rate"]) if "rate" in table else None,
            redirect_uris=_redirects(table["redirect_uris"]) if "redirect_uris" in table else (),
            launch_url=_place(table["launch_url"], "launch_url") if "launch_url" in table else None,
        )
    except (ValueError, TypeError, OSError) as wrong:
        said = str(wrong)
        raise ValueError(said if whose in said else f"{whose}: {said}") from None
    _refuse_useless(found, whose)
    return found


def _role(given: Any) -> str:
    if given not in ROLES:
        raise ValueError(
            f"role is one of {', '.join(ROLES)}; without it, the registry or a hospital."
        )
    return str(given)


_HASHED = 'printf %s "$TOKEN" | sha256sum'


def _refuse_useless(client: Client, whose: str) -> None:
    if client.is_app:
        if client.tokens or client.hospitals or client.scopes is None:
            raise ValueError(
                f"{whose} is an app, and sees what its user sees: it has scopes, and neither hospitals "
                "nor token_sha256."
            )
    elif not (client.tokens or client.has_keys or client.revoked):
        raise ValueError(
            f"{whose} cannot be known by anything: give jwks_url, jwks, token_sha256 or, for an app, "
            "redirect_uris."
        )
    if client.role is not None and scopes.scoped(client.scopes or ()):
        raise ValueError(f"{whose} is an {client.role}, whose scopes have no queries.")
    if (client.launch_url is not None) != (client.is_app and "launch" in (client.scopes or ())):
        raise ValueError(
            f"{whose} has launch_url or the scope launch, and an app that is opened here has both."
        )
    if client.role is not None and client.hospitals:
        raise ValueError(f"{whose} is an {client.role}, and so no hospital's: it sees every child.")
    if client.jwks is not None and client.jwks_url is not None:
        raise ValueError(f"{whose} has jwks and jwks_url: its keys are in one place.")
    if client.has_keys and client.scopes is None:
        raise ValueError(f"{whose} has keys, and needs the scopes that it may ask for.")


def _scopes(table: dict[str, Any]) -> tuple[str, ...] | None:
    if "scopes" not in table:
        return None
    written = text(table, "scopes")
    is_app = "redirect_uris" in table
    return app_scopes.registered(written) if is_app else scopes.registered(written)


def _redirects(listed: Any) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed:
        raise ValueError("redirect_uris is a list of URLs.")
    return tuple(_place(each, "each of redirect_uris") for each in listed)


def _place(given: Any, what: str) -> str:
    """Return a URL that a browser is sent to; raises ValueError."""
    if not isinstance(given, str) or not given.isascii() or not given.isprintable():
        raise ValueError(f"{what} is a URL, which {given!r} is not.")
    if urlsplit(given).fragment or " " in given or not is_safe(given):
        text = "is an https URL (http on one machine alone) without fragment"
        raise ValueError(f"{what} {text}, not {given}.")
    return given


def _jwks(given: Any, folder: Path, read: list[Path]) -> bytes:
    """Return the keys of a table, or of the file that it names; raises ValueError for useless ones."""
    if isinstance(given, str):
        file = folder / given
        read.append(file)
        given = decode(file.read_bytes())
    public_keys.public(given)
    return encode(given)


def _url(written: str) -> str:
    parts = urlsplit(written)
    is_plain = not (parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not is_plain:
        raise ValueError(f"jwks_url is an https URL without user and fragment, not {written}.")
    return written


def _doors(listed: Any) -> frozenset[str]:
    if not isinstance(listed, list) or not listed or not set(listed) <= set(DOORS):
        raise ValueError(f"doors is a list of {' and '.join(DOORS)}.")
    return frozenset(listed)


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise ValueError("revoked is true or false.")  # noqa: TRY004 - the operator's text is wrong
    return given


def _rate(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < inf:
        raise ValueError("rate is a number of requests a second, above 0.")
    return float(given)
