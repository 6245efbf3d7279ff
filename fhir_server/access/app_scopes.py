"""SMART scopes of apps, which act for people: `patient/` and `user/`, and how they are launched.

Apps read: no letter but r and s is registered, or granted.
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote_plus

from fhir_server.access.scopes import (
    EVERY,
    FIRST_VERSION,
    LETTERS,
    Scope,
    few,
    parse,
    scoped,
    shared,
)
from fhir_server.store.scoped import Scoped

CONTEXT = ("openid", "fhirUser", "launch", "launch/patient", "offline_access")
"""The scopes that are about no resources."""
WHOSE = ("patient", "user")
_READING = frozenset("rs")
_WORDS = {
    "openid": "know that it is you",
    "fhirUser": "know your name",
    "launch": "know which child you have opened it for",
    "launch/patient": "know which child you choose",
    "offline_access": "go on for up to 12 hours after you leave",
}


def registered(written: str) -> tuple[str, ...]:
    """Read the scopes of an app's registration; raises ValueError for one that cannot be kept."""
    listed = written.split()
    found = [each if each in CONTEXT else str(_reading(each)) for each in listed]
    if all(each in CONTEXT for each in found):
        raise ValueError("an app needs a scope of resources: write patient/*.rs, say.")
    return few(found)


def _reading(written: str) -> Scope:
    found = parse(written, WHOSE)
    if not _READING.issuperset(found.letters):
        raise ValueError(f"{written}: apps read, by r and s.")
    return found


def granted(mine: Iterable[str], asked: str) -> tuple[str, ...]:
    """Return what is both registered and asked for, as SMART 2 writes it; what is not known is left out.

    Raises ValueError for a query that is not supported: to leave it out would grant another thing.
    """
    held = tuple(mine)
    wanted = asked.split()
    found = [each for each in CONTEXT if each in held and each in wanted]
    if "openid" not in found:
        found = [each for each in found if each != "fhirUser"]
    resources = [parse(each, WHOSE) for each in held if each not in CONTEXT]
    for one in _wanted(wanted):
        for other in resources:
            both = shared(one, other) if one.whose == other.whose else None
            if both is not None:
                found.append(str(both))
    return few(found)


def _wanted(listed: Iterable[str]) -> Iterator[Scope]:
    for each in listed:
        plain, mark, query = each.partition("?")
        head, _, letters = plain.rpartition(".")
        written = f"{head}.{FIRST_VERSION.get(letters, letters)}" if head else plain
        try:
            parse(written, WHOSE)
        except ValueError:
            continue
        yield parse(f"{written}{mark}{query}", WHOSE)


def of_resources(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return those scopes that say what may be read."""
    return tuple(each for each in scopes if each not in CONTEXT)


def narrowed(scopes: Iterable[str]) -> tuple[Scoped, ...]:
    """Return what queries of scopes narrow of what may be read."""
    return scoped(of_resources(scopes))


def is_of_patient(scopes: Iterable[str]) -> bool:
    """Tell whether an app with these scopes is confined to the record of one child."""
    launched = ("launch", "launch/patient")
    return any(each in launched or each.startswith("patient/") for each in scopes)


def in_words(scope: str, whose: str) -> str:
    """Say what a scope lets an app do, to whoever decides; whose: which data, in words."""
    if scope in _WORDS:
        return _WORDS[scope]
    found = parse(scope, WHOSE)
    verbs = {"r": "read", "s": "search"}
    doing = " and ".join(verbs[each] for each in LETTERS if each in found.letters)
    what = "everything" if found.type == EVERY else found.type
    which = f", where {unquote_plus(found.query)}" if found.query else ""
    return f"{doing} {what} {whose}{which}"
