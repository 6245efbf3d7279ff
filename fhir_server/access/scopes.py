"""SMART scopes of clients: what they are, which are granted, and which each interaction needs.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fhir_server.store.scoped import Scoped, criteria, implies
from r4 import definitions
from r4.issue import FhirError, Issue, error

LETTERS = "cruds"
"""Create, read, update, delete, search: in this order."""
EVERY = "*"
"""Every type, in a scope and in a need."""
TYPE = ""
"""The type in the path, in a need; every type where the path has none."""
_SCOPE = re.compile(r"(?P<whose>\w+)/(?P<type>\*|\w+)\.(?P<letters>[\w*]+)(?:\?(?P<query>.*))?")
ANYBODYS = ("system", "user", "patient")
"""Whose resources a scope may be about."""
FIRST_VERSION = {"read": "rs", "write": "cud", "*": "cruds"}
"""What SMART 1 wrote, as the letters of SMART 2."""

Need = tuple[str, str]
"""Letters, and of which type."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`system/Type.letters?query`: what may be done with the resources of a type that a query finds.

    whose: `system`, or `user` and `patient` where an app acts for somebody.
    """

    type: str
    letters: str
    query: str = ""
    whose: str = "system"

    def __str__(self) -> str:
        return f"{self.whose}/{self.type}.{self.letters}" + (f"?{self.query}" if self.query else "")


_READING, _ALL = (("rs", EVERY),), ((LETTERS, EVERY),)
_OF_TERMS = (("r", TYPE),)
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "capabilities": (),
    "smart-configuration": (),
    "read": (("r", TYPE),),
    "vread": (("r", TYPE),),
    "history-instance": (("r", TYPE),),
    "search-type": (("s", TYPE),),
    "search-compartment": (("s", TYPE),),
    "history-type": (("s", TYPE),),
    "search-system": (("s", EVERY),),
    "history-system": (("s", EVERY),),
    "create": (("c", TYPE),),
    "update": (("u", TYPE),),
    "patch": (("u", TYPE),),
    "delete": (("d", TYPE),),
    "transaction": (),
    "$scorecard": (),
    "$validate": (("r", TYPE),),
    "$lastn": (("s", TYPE),),
    "$validate-code": _OF_TERMS,
    "$expand": _OF_TERMS,
    "$lookup": _OF_TERMS,
    "$subsumes": _OF_TERMS,
    "$translate": _OF_TERMS,
    "$closure": (("r", "ConceptMap"),),
    "$status": (("r", TYPE),),
    **dict.fromkeys(
        (
            "$everything", "$grade", "$stats", "$assemble", "$populate", "$extract", "$carry-over",
            "$document", "$pdf", "$mdm", "$convert", "$collect-data", "$care-gaps",
            "$data-requirements", "$events", "$export", "$bulk",
        ),
        _READING,
    ),
    **dict.fromkeys(
        (
            "$process-message", "$process-response", "$process-cda", "$sign", "$addend", "$correct",
            "$evaluate", "$import", "$purge", "process-message",
        ),
        _ALL,
    ),
}  # fmt: skip
"""What each interaction and operation needs, by its code; what is not here nobody with scopes may do.

Operations that look at, or write, more types than their path names need every type. The entries of
a transaction or batch need what they would need alone. `process-message` is HL7 v2 over HTTP.
"""

CONFINED = frozenset({
    "capabilities", "smart-configuration", "read", "vread", "history-instance", "history-type",
    "search-type", "search-compartment", "create", "update", "patch", "delete", "transaction", "$lastn",
})  # fmt: skip
"""What is answered, and stored, as the queries of scopes have it (ADR 0070)."""
OF_WHAT_IS_LOADED = frozenset({
    "$validate-code", "$expand", "$lookup", "$subsumes", "$translate", "$closure",
})  # fmt: skip
"""What is answered of knowledge, whatever is stored of it: by scopes without a query."""
MOST_QUERIES = 10
"""Most scopes with a query that a client may have."""


class InsufficientScopeError(FhirError):
    """A 403 that says which scopes would do."""

    def __init__(self, issues: list[Issue], needed: Iterable[object]) -> None:
        super().__init__(403, issues)
        self.scope = " ".join(str(each) for each in needed)


def parse(written: str, whose: tuple[str, ...] = ("system",)) -> Scope:
    """Read a scope of a client; raises ValueError that says how to write it."""
    found = _SCOPE.fullmatch(written)
    if found is None or found["whose"] not in whose:
        raise ValueError(f"{written} is no scope of a client: write {whose[0]}/Patient.rs, say.")
    kind, letters = found["type"], found["letters"]
    if kind != EVERY and kind not in definitions.resource_types():
        raise ValueError(f"{written}: {kind} is no resource type of FHIR R4.")
    if letters in FIRST_VERSION:
        wanted = f"{found['whose']}/{kind}.{FIRST_VERSION[letters]}"
        raise ValueError(f"{written} is a scope of SMART 1: write {wanted}.")
    if letters != "".join(each for each in LETTERS if each in letters):
        raise ValueError(f"{written}: the letters after the type are some of {LETTERS}, in order.")
    if "?" in written:
        _refuse_query(written, kind, found["query"] or "")
    return Scope(kind, letters, found["query"] or "", found["whose"])


def _refuse_query(written: str, kind: str, query: str) -> None:
    if kind == EVERY:
        raise ValueError(f"{written}: a query is of one type, and not of every one.")
    try:
        criteria(kind, query)
    except ValueError as wrong:
        raise ValueError(f"{written}: {wrong}") from None


def registered(written: str) -> tuple[str, ...]:
    """Read the scopes of a client's registration; raises ValueError for one that cannot be kept."""
    found = tuple(parse(each) for each in written.split())
    if not found:
        raise ValueError("there are no scopes: write system/Patient.rs, say.")
    return few(str(each) for each in found)


def few(written: Iterable[str]) -> tuple[str, ...]:
    """Return scopes, each once; raises ValueError where too many of them have a query."""
    found = tuple(dict.fromkeys(written))
    if sum("?" in each for each in found) > MOST_QUERIES:
        raise ValueError(f"at most {MOST_QUERIES} scopes have a query.")
    return found


def granted(mine: Iterable[str], asked: str) -> tuple[str, ...]:
    """Return what is both registered and asked for.

    Raises ValueError for what is no scope of a client, and where nothing is left.
    """
    wanted = [parse(each) for each in asked.split()]
    found = [
        str(both)
        for one in wanted
        for other in map(parse, mine)
        if (both := shared(one, other)) is not None
    ]
    if not found:
        said = " ".join(mine)
        raise ValueError(f"Nothing of this is granted: this client may ask for {said}.")
    return few(found)


def shared(one: Scope, other: Scope) -> Scope | None:
    """Return what two scopes have in common, or None; of two queries that which finds no more."""
    letters = "".join(each for each in one.letters if each in other.letters)
    kinds = {one.type, other.type} - {EVERY}
    query = _narrower(one.query, other.query)
    if not letters or len(kinds) > 1 or query is None:
        return None
    return Scope(kinds.pop() if kinds else EVERY, letters, query, one.whose)


def _narrower(one: str, other: str) -> str | None:
    """Return which of two queries ("": all) finds no more than the other one, None where neither does."""
    if not one or not other:
        return one or other
    if implies(one, other):
        return one
    return other if implies(other, one) else None


@lru_cache(maxsize=1024)
def _letters(scopes: tuple[str, ...], *, whole: bool) -> Mapping[str, frozenset[str]]:
    """Map each type to its letters; whole: to those for all of it, by scopes without a query."""
    found: dict[str, frozenset[str]] = {}
    for each in (parse(written, ANYBODYS) for written in scopes):
        if not (whole and each.query):
            found[each.type] = found.get(each.type, frozenset()) | frozenset(each.letters)
    return found


def covers(
    scopes: tuple[str, ...], letters: str, resource_type: str, *, whole: bool = False
) -> bool:
    """Tell whether scopes let all of the letters be done with a type; whole: with all of it."""
    held = _letters(scopes, whole=whole)
    mine = held.get(EVERY, frozenset()) | held.get(resource_type, frozenset())
    return mine.issuperset(letters)


@lru_cache(maxsize=1024)
def scoped(scopes: tuple[str, ...]) -> tuple[Scoped, ...]:
    """Return what queries narrow: each letter of each type that no scope without a query has."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in (parse(written, ANYBODYS) for written in scopes if "?" in written):
        for letter in each.letters:
            if not covers(scopes, letter, each.type, whole=True):
                found.setdefault((letter, each.type), []).append(each.query)
    return tuple(Scoped(*at, tuple(dict.fromkeys(queries))) for at, queries in found.items())


def require(
    name: str, scopes: tuple[str, ...], interaction: str, resource_type: str | None = None
) -> None:
    """Raise InsufficientScopeError unless scopes let a client, by name, do an interaction on a type."""
    needed = NEEDS.get(interaction)
    if needed is None:
        text = f"{name} may not {interaction}: no scope lets a client do that."
        raise InsufficientScopeError([error("forbidden", text)], ())
    needs = [(each, kind or resource_type or EVERY) for each, kind in needed]
    require_each(name, scopes, needs)
    if narrowed := scoped(scopes):
        _refuse_unconfined(name, scopes, interaction, needs, narrowed)


def _refuse_unconfined(
    name: str,
    scopes: tuple[str, ...],
    interaction: str,
    needs: Iterable[Need],
    narrowed: Iterable[Scoped],
) -> None:
    """Raise InsufficientScopeError where queries of scopes are not kept by what an interaction does."""
    is_reading = any(each.letter in "rs" for each in narrowed)
    of_audit = is_reading and any(kind == "AuditEvent" for _, kind in needs)
    whole = [need for need in needs if not covers(scopes, *need, whole=True)] == []
    if interaction in CONFINED and not of_audit:
        return
    if interaction in OF_WHAT_IS_LOADED and whole:
        return
    if not is_reading and whole and interaction != "$validate":
        return
    text = (
        f"{name} may not {interaction}: it cannot be confined to what the queries of scopes find. Ask for a "
        "token whose scopes have none."
    )
    raise InsufficientScopeError([error("forbidden", text)], _named(scopes, needs))


def require_each(name: str, scopes: tuple[str, ...], needs: Iterable[Need]) -> None:
    """Raise InsufficientScopeError, with all that is missing, unless scopes cover every need."""
    if missing := list(_missing(scopes, needs)):
        listed = " ".join(str(each) for each in missing)
        text = f"The token of {name} does not reach here: that needs the scopes {listed}."
        raise InsufficientScopeError([error("forbidden", text)], missing)


def _missing(scopes: tuple[str, ...], needs: Iterable[Need]) -> Iterator[Scope]:
    yield from _named(scopes, (need for need in needs if not covers(scopes, *need)))


def _named(scopes: tuple[str, ...], needs: Iterable[Need]) -> Iterator[Scope]:
    whose = scopes[0].partition("/")[0] if scopes else "system"
    for letters, kind in dict.fromkeys(needs):
        yield Scope(kind, letters, whose=whose)
