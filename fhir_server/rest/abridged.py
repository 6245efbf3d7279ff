"""`_summary` and `_elements` on a read: a resource with a part of its elements.

https://hl7.org/fhir/R4/search.html#summary
"""

from collections.abc import Iterable

from fhir_server.interactions import subset
from fhir_server.store.search.refusal import bad, unknown
from r4.json import decode, encode

SUMMARIES = ("true", "text", "data", "false")
KNOWN = frozenset({"_summary", "_elements", "_format", "_pretty"})


def abridged(body: bytes, pairs: Iterable[tuple[str, str]], *, lenient: bool = False) -> bytes:
    """Return a resource as the parameters of a read ask for it; FhirError 400 for others than these.

    Where handling is lenient, parameters that are not known are left out. Where `_elements` is given,
    it decides, as in a search.
    """
    given = dict(pairs)
    names = [name for name in given if name not in KNOWN]
    if names and not lenient:
        raise bad(names[0], unknown("A read", names[0], KNOWN))
    kind = given.get("_summary", "false")
    if kind not in SUMMARIES:
        text = f"_summary={kind} is not supported on a read; supported: {', '.join(SUMMARIES)}."
        raise bad("_summary", text)
    wanted = [name.strip() for name in given.get("_elements", "").split(",") if name.strip()]
    if wanted:
        return encode(subset.elements(decode(body), wanted))
    return body if kind == "false" else encode(subset.summary(decode(body), kind))
