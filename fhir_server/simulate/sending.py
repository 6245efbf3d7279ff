"""What is sent and what is answered: the values between the feed and the doors."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sending:
    """One message or request, ready to go; faulty ones are meant to be refused."""

    door: Literal["mllp", "http"]
    hospital: str
    kind: str
    body: bytes
    id: str = ""
    method: str = "POST"
    path: str = ""
    faulty: bool = False

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes, as the ledger names them."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: MSA-1 or the HTTP status, the ids it names, and the words of a refusal."""

    code: str
    ids: tuple[str, ...] = ()
    text: str = ""

    @property
    def accepted(self) -> bool:
        """Tell whether the registry took it: AA, CA or 2xx."""
        return self.code in ("AA", "CA") or self.code.startswith("2")
