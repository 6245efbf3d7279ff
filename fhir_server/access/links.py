"""Links to surveys: a signed token that names a Task, and how often links may be tried.

The token is a JWS (RFC 7515) by the server's own key. It stands in the fragment of the link, which no
browser sends: nothing that only follows the link spends it, and no log has it.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.access.keys import ALGORITHM, compact
from fhir_server.access.rates import neighbourhood
from questionnaires.seal import Seal
from r4.json import Resource, decode, encode

MOST = 20
"""Links that one address may try within `WITHIN`."""
WITHIN = timedelta(minutes=1)
_USE = "survey"
_LONGEST = 1024
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_MOST_ADDRESSES = 10_000


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says: its number, its Task's id, who is asked, and its end, in seconds since 1970.

    parent: the Reference to who was the Task's owner; for whoever comes after, it opens nothing.
    """

    number: str
    task: str
    parent: str
    expires: int

    @property
    def digest(self) -> str:
        """What is kept of the number."""
        return hashlib.sha256(self.number.encode()).hexdigest()


def written(link: Link, seal: Seal) -> str:
    """Return the token of a link, signed."""
    said = {
        "exp": link.expires,
        "jti": link.number,
        "sub": link.parent,
        "task": link.task,
        "use": _USE,
    }
    return compact(encode(said), seal)


def read(token: object, jwks: Resource, now: datetime) -> Link | None:
    """Return the link of a token that this server has signed and that has not expired, or None."""
    if not isinstance(token, str) or len(token) > _LONGEST or not _TOKEN.fullmatch(token):
        return None
    said = next((found for key in jwks["keys"] if (found := _said(token, key))), None)
    if said is None or said.keys() != {"exp", "jti", "sub", "task", "use"} or said["use"] != _USE:
        return None
    link = Link(said["jti"], said["task"], said["sub"], said["exp"])
    return link if now.timestamp() < link.expires else None


def _said(token: str, key: Resource) -> Resource | None:
    try:
        found = jws.deserialize_compact(token, ECKey.import_key(key), algorithms=[ALGORITHM])
        said = decode(found.payload)
    except (JoseError, ValueError):
        return None
    return said if isinstance(said, dict) else None


class Attempts:
    """How often each address has tried a link of late: in memory, of the one process that serves."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._tried: dict[str, deque[datetime]] = {}

    def allow(self, address: str) -> bool:
        """Tell whether an address may try another link now, which counts as one that it has tried."""
        now, address = self._now(), neighbourhood(address)
        if len(self._tried) >= _MOST_ADDRESSES:
            self._tried = {one: t for one, t in self._tried.items() if now - t[-1] < WITHIN}
        tried = self._tried.setdefault(address, deque(maxlen=MOST))
        if len(tried) == MOST and now - tried[0] < WITHIN:
            return False
        tried.append(now)
        return True
