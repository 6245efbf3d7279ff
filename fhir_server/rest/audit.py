"""What the audit is told of a request that has stored nothing: a read, a refusal, a write in vain.

What a write did is recorded with the write itself.

https://hl7.org/fhir/R4/auditevent.html
"""

import re
from contextlib import suppress
from functools import cache, lru_cache
from urllib.parse import unquote_plus

from fhir_server.context import Context, Principal, agent_of
from fhir_server.store.audit_row import children_named
from fhir_server.store.search.keys import place as place_of
from fhir_server.store.search.results import is_result
from fhir_server.store.told import now
from r4 import artefacts, definitions

UNROUTED = "unknown"
"""What was asked for, where the URL is nothing here."""
_SAID = frozenset({"$everything", "$lastn"})
"""Operations whose answers are searchsets: it is known of each entry whose it is."""
OTHER = "other"
"""What stands for a parameter whose name is none: it may be a value."""
_LONGEST = 64 * 1024
"""Most bytes of a query that are looked at."""
_MOST = 50
"""Most parameters of a request whose names are recorded."""
_NAMES = frozenset(
    {
        "_at", "_before", "_page", "_since", "_typeFilter", "_outputFormat", "_has", "_format", "_pretty",
        "measure", "periodStart", "periodEnd", "reportType", "start", "end", "above", "below", "code",
        "code-text", "contains", "exact", "identifier", "in", "iterate", "missing", "not", "not-in",
        "of-type", "text", "text-advanced", "max",
    }
)  # fmt: skip
"""Parameters of histories and operations, and modifiers."""


def record(
    context: Context,
    asked: tuple[Principal | None, str | None],
    place: tuple[str | None, str | None],
    status: int,
    query: str | None = None,
) -> None:
    """Record a request for a place (type, id) that is about to be answered or refused.

    asked: who asks, None where nobody is known, and the interaction. Raises FhirError 503 where it
    cannot be recorded.
    """
    principal, interaction = asked
    children = set(told.children) if (told := now()) is not None else set[int]()
    if principal is not None and principal.patient is not None:
        children.add(place_of("Patient", principal.patient.removeprefix("Patient/")))
    what = (interaction or UNROUTED, *place, status)
    context.audit.record(agent_of(principal), *what, children=children, query=query)


def tells(code: str, content: bytes) -> None:
    """Say of whom an operation's answer tells: it is put together from much, and read once more for it."""
    told = now()
    if told is not None and code.startswith("$") and code not in _SAID and b"Patient" in content:
        with suppress(ValueError):  # what is no JSON has been read to be made, and said so
            told.children |= children_named(content)


def criteria(url: bytes, form: bytes = b"") -> str | None:
    """Return the names of what a query asks for, without any value; None where it asks for nothing.

    A value may be a child's name or number, and a condition: an auditor sees neither.
    """
    if not url and not form:
        return None
    text = b"&".join((url, form))[:_LONGEST].decode("latin-1")
    listed = text.split("&", _MOST)[:_MOST]
    return "&".join([_name(each.partition("=")[0]) for each in listed if each]) or None


@lru_cache(maxsize=4096)
def _name(name: str) -> str:
    """Return a parameter's name, as it stands in a URL, unless it is none that is known here."""
    name = unquote_plus(name)
    parts = re.split("[:.]", name)
    return name if is_result(name) or all(each in _known() for each in parts) else OTHER


@cache
def _known() -> frozenset[str]:
    standard = (each["code"] for each in definitions.every("SearchParameter"))
    own = (each["code"] for each in artefacts.by_url("profiles", "SearchParameter").values())
    return _NAMES.union(definitions.resource_types(), standard, own)
