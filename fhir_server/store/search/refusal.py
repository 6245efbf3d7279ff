"""How a search is refused: a 400 that names the parameter and what would be right, or a 422: too costly."""

import difflib
from collections.abc import Iterable

from r4.issue import FhirError, error


def bad(name: str, diagnostics: str) -> FhirError:
    """Return the refusal of a parameter that is not served as it is asked."""
    return FhirError(400, [error("not-supported", diagnostics, f"http.{name}", "search")])


def too_much(name: str, diagnostics: str) -> FhirError:
    """Return the refusal of a query that asks for more than is answered at once."""
    return FhirError(422, [error("too-costly", diagnostics, f"http.{name}", "search")])


def unknown(where: str, code: str, known: Iterable[str]) -> str:
    """Say that there is no such parameter, which may be meant, and which there are."""
    listed = sorted(known)
    near = difflib.get_close_matches(code, listed, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{where} has no search parameter {code}.{hint} Supported here: {', '.join(listed)}."
