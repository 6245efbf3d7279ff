"""What one answer tells of, gathered while it is made; and whether the audit has it by now.

An answer is made in a context of its own (`contextvars`), in which there is one `Told`; what else the
server does has none, and nothing is gathered.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


@contextmanager
def telling(address: str | None = None) -> Iterator[Told]:
    """Gather what is told until left, to the peer of an address."""
    made = Told(address)
    token = _TOLD.set(made)
    try:
        yield made
    finally:
        _TOLD.reset(token)


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
