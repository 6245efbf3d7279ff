"""Sessions of people at a browser: what a random cookie stands for, and when that ends.

They are held in the memory of the one process that serves: a restart means another launch, and the
tokens that a session was given are never on disk.
https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from fhir_server.access.launch import Grant
from fhir_server.context import Principal
from r4.issue import FhirError, error
from r4.json import Resource

IDLE = timedelta(minutes=30)
"""How long a session may be left unused, where nothing else is said."""
LONGEST = timedelta(hours=12)
"""How long a session lasts, used or not, where nothing else is said."""
CSRF = b"x-csrf-token"
_MOST = 10_000
_SECRET = 32

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that no script can read: its name, and how a browser is told to keep it."""

    name: str
    attributes: str

    def given(self, value: str, seconds: int | None = None) -> str:
        """Return the Set-Cookie that gives a value, until the browser is closed or for some seconds."""
        lasting = "" if seconds is None else f"; Max-Age={seconds}"
        return f"{self.name}={value}; {self.attributes}{lasting}"

    def taken(self) -> str:
        """Return the Set-Cookie that takes the value away."""
        return self.given("", 0)

    def of(self, headers: Headers) -> str | None:
        """Return the value that a request brings, "" where it is empty; None without this cookie."""
        for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
            name, _, value = part.partition("=")
            if name.strip() == self.name:
                return value.strip()
        return None


def cookie(base_url: str, *, embedded: bool, purpose: str = "") -> Cookie:
    """Return the cookie of a server: bound to its host over https, plain on this machine.

    embedded: whether pages are shown in a frame of the EPR's, where a browser keeps Lax cookies back.
    """
    name = f"csor-{purpose}" if purpose else "csor"
    if urlsplit(base_url).scheme != "https":
        return Cookie(name, "Path=/; HttpOnly; SameSite=Lax")
    site = "SameSite=None; Partitioned" if embedded else "SameSite=Lax"
    return Cookie(f"__Host-{name}", f"Path=/; HttpOnly; Secure; {site}")


class Lasting(NamedTuple):
    """How long a session may be left unused, and how long it lasts, used or not."""

    idle: timedelta = IDLE
    longest: timedelta = LONGEST


class Login(NamedTuple):
    """A sign-in at a provider: its name here, and `sub` and `sid` of the identity token.

    None: not told; of a sign-in that has ended, any.
    """

    provider: str
    subject: str | None
    sid: str | None = None

    def is_among(self, ended: "Login") -> bool:
        """Tell whether it is one of those that have ended.

        One without a sid ends by its subject alone: whose it is, is known then, and which is not.
        """
        if self.provider != ended.provider or ended.subject not in (None, self.subject):
            return False
        if ended.sid is None or ended.sid == self.sid:
            return True
        return self.sid is None and ended.subject is not None


@dataclass(slots=True)
class Session:
    """One person's use of the pages: who, on which child, since when, and what the launch told.

    told: the members of `GET /session` that the launch, or the sign-in, decided. grant: what the EPR has
    granted. leave: where the browser ends the sign-in at its provider, too. login: which sign-in that
    is. ended: whether the person, or the provider, has ended it. csrf: what an unsafe request repeats.
    written: what became of each document that was given to the EPR.
    """

    principal: Principal
    told: Resource
    grant: Grant | None
    began: datetime
    used: datetime
    lasting: Lasting
    leave: str | None = field(default=None, repr=False)
    login: Login | None = None
    ended: bool = False
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(_SECRET))
    written: list[Resource] = field(default_factory=list)

    @property
    def expires(self) -> datetime:
        """The moment at which the session ends if it is not used before."""
        return min(self.used + self.lasting.idle, self.latest)

    @property
    def latest(self) -> datetime:
        """The moment at which it ends, used or not, and whatever was granted in it."""
        return self.began + self.lasting.longest

    def is_of(self, ended: Login) -> bool:
        """Tell whether it is of a sign-in that has ended at its provider."""
        return self.login is not None and self.login.is_among(ended)


class Sessions:
    """The sessions that are open, each by the SHA-256 of its cookie's value.

    lasting: until when they last. purpose: what they are for, in the cookie's name. proved: whether an
    unsafe request repeats the session's secret, besides its Origin.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        base_url: str,
        lasting: Lasting,
        *,
        embedded: bool = False,
        purpose: str = "",
        proved: bool = True,
    ) -> None:
        self.cookie = cookie(base_url, embedded=embedded, purpose=purpose)
        self._now, self._origin, self._proved = now, _origin(base_url), proved
        self._lasting = lasting
        self._open: dict[bytes, Session] = {}

    def open(
        self,
        principal: Principal,
        told: Resource,
        grant: Grant | None = None,
        leave: str | None = None,
        login: Login | None = None,
    ) -> tuple[str, Session]:
        """Begin a session; returns the cookie's value, which is known to nobody else, and the session."""
        now, value = self._now(), secrets.token_urlsafe(_SECRET)
        self._open = {key: each for key, each in self._open.items() if now < each.expires}
        while len(self._open) >= _MOST:  # the one that was used longest ago gives way
            del self._open[min(self._open, key=lambda key: self._open[key].used)]
        session = Session(principal, told, grant, now, now, self._lasting, leave, login)
        self._open[_digest(value)] = session
        return value, session

    def asked_by(
        self, headers: Headers, method: str = "GET", *, use: bool = True
    ) -> Session | None:
        """Return the session of a request; None where it brings no session cookie.

        use: whether the request is a use of it, which puts its end off. Raises FhirError 401 where the
        session is not known or has ended, 403 where an unsafe method may be another site's doing.
        """
        value = self.cookie.of(headers)
        if value is None:
            return None
        key, now = _digest(value), self._now()
        session = self._open.get(key)
        if session is None or now >= session.expires:
            self._open.pop(key, None)
            text = (
                "This session has ended. Open the note from the hospital's system again, or sign in "
                "again at /sign-in."
            )
            raise FhirError(401, [error("expired", text, "http.Cookie")])
        if method not in ("GET", "HEAD"):
            self._refuse_forged(session, headers)
        if use:
            session.used = now
        return session

    def end(self, headers: Headers) -> None:
        """End the session of a request, if it brings one."""
        value = self.cookie.of(headers)
        if value is not None and (found := self._open.pop(_digest(value), None)) is not None:
            found.ended = True

    def log_out(self, ended: Login) -> list[Session]:
        """End the sessions of sign-ins that have ended at their provider; returns them."""
        found = {key: each for key, each in self._open.items() if each.is_of(ended)}
        for key, each in found.items():
            each.ended = True
            del self._open[key]
        return list(found.values())

    def refuse_other_pages(self, headers: Headers) -> None:
        """Raise FhirError 403 unless a page of this server sends a request.

        A browser names the page's origin with every unsafe request.
        """
        origin = headers.get(b"origin", b"").decode("latin-1")
        here = (self._origin, f"{urlsplit(origin).scheme}://" + _text(headers, b"host"))
        if not origin or origin not in here:
            text = (
                "A session's requests come from this server's own pages: their Origin is another."
            )
            raise FhirError(403, [error("forbidden", text, "http.Origin")])

    def _refuse_forged(self, session: Session, headers: Headers) -> None:
        """Raise FhirError 403 unless a page of this server sends it, which knows the session's secret."""
        self.refuse_other_pages(headers)
        if not self._proved:
            return
        if not hmac.compare_digest(headers.get(CSRF, b""), session.csrf.encode()):
            text = (
                "This page is not of the session that the browser has now: load it anew. A page sends "
                "the header X-CSRF-Token with the `csrf` of GET /session."
            )
            raise FhirError(403, [error("forbidden", text, "http.X-CSRF-Token")])


def _text(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("latin-1", "replace")).digest()
