"""What one answer tells of, gathered while it is made; and whether the audit has it by now.

An answer is made in a context of its own (`contextvars`), in which there is one `Told`; what else the
server does has none, and nothing is gathered.
"""

from collections.abc import Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field

from fhir_server.store.audit_row import children_named
from fhir_server.store.read import Stored
from fhir_server.store.whose import REGISTRYS


@dataclass(slots=True)
class Told:
    """What is known of one answer: who is asked for it, and of which children it tells, by their places.

    is_recorded: whether the audit has it by a row of its own, or by those of what it stored.
    """

    address: str | None = None
    children: set[int] = field(default_factory=set)
    is_recorded: bool = False


_TOLD: ContextVar[Told | None] = ContextVar("told", default=None)


class Telling:
    """Gathers what is told until left, to the peer of an address; once for each request."""

    __slots__ = ("_made", "_token")

    def __init__(self, address: str | None = None) -> None:
        self._made = Told(address)
        self._token: Token[Told | None] | None = None

    def __enter__(self) -> Told:
        """Begin, beside whatever is gathered around it."""
        self._token = _TOLD.set(self._made)
        return self._made

    def __exit__(self, *_raised: object) -> None:
        """Go on with what was gathered around it."""
        if self._token is not None:
            _TOLD.reset(self._token)


def now() -> Told | None:
    """Return what the answer that is being made tells of; None where none is being made."""
    return _TOLD.get()


def recorded() -> None:
    """Say that the audit has what is being answered."""
    if (told := _TOLD.get()) is not None:
        told.is_recorded = True


def tells(found: Iterable[Stored]) -> None:
    """Say that the answer holds versions: whose each is stands beside it, and its body is not read.

    Of what is the registry's alone, which may be about several children, the body says who they are.
    """
    told = _TOLD.get()
    if told is None:
        return
    for stored in found:
        if stored.whose == REGISTRYS:
            told.children |= children_named(stored.body)
        elif stored.whose is not None:  # everybody's
            told.children.add(stored.whose)
