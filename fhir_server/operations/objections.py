"""What is computed from many children while somebody objects is computed anew (ADR 0058)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fhir_server.context import Context
from fhir_server.store import objections
from fhir_server.store.seen import whole
from fhir_server.store.write import ObjectedError
from r4.issue import FhirError, error

T = TypeVar("T")

ATTEMPTS = 5


async def undisturbed(context: Context, work: Callable[[], Awaitable[T]]) -> T:
    """Return what work computes; it is done again where somebody came to object meanwhile, or no longer does.

    Raises FhirError 503 where that happens again and again.
    """
    read = whole(context.database).read
    for _ in range(ATTEMPTS):
        before = objections.changes(read)
        try:
            made = await work()
        except ObjectedError:
            continue
        if objections.changes(read) == before:
            return made
    raise disturbed()


def disturbed() -> FhirError:
    """Return the refusal of what others came to object to again and again while it was computed."""
    text = (
        "Objections are being recorded, and what is computed meanwhile is not given out: ask again."
    )
    return FhirError(503, [error("transient", text)])
