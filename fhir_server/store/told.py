"""What one answer tells of, gathered while it is made; and whether the audit has it by now.

An answer is made in a context of its own (`contextvars`), in which there is one `Told`; what else the
server does has none, and nothing is gathered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Told:
    """What is known of one answer: whether the audit has what was asked for, by a row of its own."""

    is_recorded: bool = False


_TOLD: ContextVar[Told | None] = ContextVar("told", default=None)


@contextmanager
def telling() -> Iterator[Told]:
    """Gather what is told until left."""
    made = Told()
    token = _TOLD.set(made)
    try:
        yield made
    finally:
        _TOLD.reset(token)


def now() -> Told | None:
    """Return what the answer that is being made tells of; None where none is being made."""
    return _TOLD.get()


def recorded() -> None:
    """Say that the audit has what is being answered: by its own row, or by those of what it stored."""
    if (told := _TOLD.get()) is not None:
        told.is_recorded = True
