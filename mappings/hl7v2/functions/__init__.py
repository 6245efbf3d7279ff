"""The functions that table cells name: conditions, and values that need more than one field.

A condition returns bool; a value function returns FHIR JSON, a list of it, or None. Each module
lists its own as `NAMED`: a function that stands there, and no other, can be named by a table.
"""

from itertools import chain

from mappings.hl7v2.functions import (
    appointments,
    cases,
    documents,
    identity,
    moves,
    orders,
    people,
    results,
    specimens,
    values,
    visits,
)
from mappings.hl7v2.scope import Compute

_MODULES = (
    appointments,
    cases,
    documents,
    identity,
    moves,
    orders,
    people,
    results,
    specimens,
    values,
    visits,
)


def _register() -> dict[str, Compute]:
    found: dict[str, Compute] = {}
    for function in chain.from_iterable(module.NAMED for module in _MODULES):
        if found.setdefault(function.__name__, function) is not function:
            raise ValueError(f"two functions are called {function.__name__}")
    return found


NAMED = _register()
"""Every function that a table may name, by its name."""
