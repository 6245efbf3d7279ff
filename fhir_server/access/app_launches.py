"""Launches of apps from the registry's own page: which person opened which app for which child.

In the memory of the process that serves, by hash, as codes are.
https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.access.clients import Client
from fhir_server.access.sessions import Session

LIFE = timedelta(minutes=5)
"""How long after it was opened an app may ask to be let in, and the person decide."""
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Launch:
    session: Session
    client: Client
    patient: str
    until: datetime


class AppLaunches:
    """The launches that are good now, each by the SHA-256 of its value."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._open: dict[str, _Launch] = {}

    def open(self, session: Session, client: Client, patient: str) -> str:
        """Return the value of a launch, which is known to nobody else; patient: the id of the child."""
        now, value = self._now(), secrets.token_urlsafe(32)
        held = {key: each for key, each in self._open.items() if now < each.until}
        while len(held) >= _MOST:
            del held[next(iter(held))]
        self._open = {**held, _digest(value): _Launch(session, client, patient, now + LIFE)}
        return value

    def patient(self, value: str, session: Session, client: Client) -> str | None:
        """Return the id of the child that a session has opened an app for; None where it has not."""
        found = self._open.get(_digest(value))
        if found is None or found.session is not session or found.client != client:
            return None
        return found.patient if self._now() < found.until else None

    def take(self, value: str, session: Session, client: Client) -> str | None:
        """Do as `patient`, once: the value is no good any more."""
        patient = self.patient(value, session, client)
        if patient is not None:
            del self._open[_digest(value)]
        return patient


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
