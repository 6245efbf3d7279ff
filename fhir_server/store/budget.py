"""How long a query may take: one that is asked for too much is ended, and refused."""

from r4.issue import FhirError, error


def took_too_long(seconds: float) -> FhirError:
    """Return the refusal of what asked for a query that was ended."""
    text = (
        f"This took longer than the {seconds:g} seconds that a query may take, and was ended: ask for "
        "less at once, by narrower criteria, fewer chains or a smaller _count."
    )
    return FhirError(503, [error("timeout", text)])
