"""Reading and searching AuditEvents, which nobody writes: what may be asked of them, and in which pages.

A page goes on before a row of the audit: what is recorded meanwhile, this search itself too, moves none.
https://hl7.org/fhir/R4/auditevent.html#search
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.audit_events import ACTIONS, TYPE, event
from fhir_server.store import audit_search as store
from fhir_server.store.read import Stored
from fhir_server.store.search.keys import bounds
from fhir_server.store.search.refusal import bad, unknown
from fhir_server.store.search.sql import NEVER, Sql, marks
from fhir_server.store.whose import EVERYBODYS
from r4.issue import FhirError, error
from r4.json import encode

Pairs = Iterable[tuple[str, str]]
PAGE = 50
LARGEST_PAGE = 1000
_LONGEST_NUMBER = 18
_DATE = re.compile(r"(eq|ge|gt|le|lt|sa|eb)?(\d.*)\Z")
_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})\Z")
_OUTCOMES = {
    "0": "a.status IS NULL OR a.status < 400",
    "4": "a.status >= 400 AND a.status < 500",
    "8": "a.status >= 500",
}
MAINTAINED = "The registry makes AuditEvents of its audit: nobody writes, changes or deletes one."


def refuse_write(resource_type: str) -> None:
    """Raise FhirError 403 for whatever would write an AuditEvent."""
    if resource_type == TYPE:
        raise FhirError(403, [error("forbidden", MAINTAINED)])


def read(context: Context, resource_id: str) -> Stored:
    """Return one event, as a version of a resource; raises FhirError 404 where there is none."""
    number = int(resource_id) if _is_number(resource_id) else 0
    found = store.page(context.database, [Sql("a.id = ?", (number,))], None, 1)
    if not found:
        raise FhirError(404, [error("not-found", f"{TYPE}/{resource_id} is not known here.")])
    made = event(context, found[0], store.patients(context.database, found))
    return Stored(0, TYPE, resource_id, 1, found[0].moment, False, encode(made), EVERYBODYS)


def search(context: Context, pairs: Pairs, *, lenient: bool = False) -> bytes:
    """Return a searchset of events, the newest first, as JSON.

    Raises FhirError 400 for what is not served; unknown parameters are left out where that is lenient.
    """
    asked = _asked(context, list(pairs), lenient=lenient)
    database = context.database
    place = f"{context.base_url}/{TYPE}"
    links = [{"relation": "self", "url": _url(place, asked.pairs)}]
    head: dict[str, object] = {"resourceType": "Bundle", "type": "searchset"}
    if asked.counted:
        head["total"] = store.count(database, asked.conditions)
    if not asked.count:
        return encode({**head, "link": links})
    found = store.page(database, asked.conditions, asked.before, asked.count + 1)
    shown = found[: asked.count]
    if len(found) > asked.count:
        rest = [pair for pair in asked.pairs if pair[0] != "_before"]
        links.append(
            {"relation": "next", "url": _url(place, [*rest, ("_before", str(shown[-1].id))])}
        )
    patients = store.patients(database, shown)
    entries = [
        {
            "fullUrl": f"{place}/{each.id}",
            "resource": event(context, each, patients),
            "search": {"mode": "match"},
        }
        for each in shown
    ]
    return encode({**head, "link": links, **({"entry": entries} if entries else {})})


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a query asks for; count 0: how many there are, and no more."""

    conditions: tuple[Sql, ...]
    pairs: list[tuple[str, str]]
    count: int
    before: int | None
    counted: bool


def _asked(context: Context, pairs: list[tuple[str, str]], *, lenient: bool) -> _Asked:
    conditions: list[Sql] = []
    kept: list[tuple[str, str]] = []
    count, before, counted = PAGE, None, False
    for name, value in pairs:
        plain = name.removesuffix(":identifier") if name.startswith("agent") else name
        if plain in PARAMETERS:
            conditions.append(_any(context, plain, value))
        elif name in ("_count", "_before"):
            if not _is_number(value):
                raise bad(name, f"{name} is a whole number.")
            if name == "_before":
                before = int(value)
            else:
                count = min(int(value), LARGEST_PAGE)
        elif name == "_total" or (name, value) == ("_summary", "count"):
            counted = value != "none"
            count = 0 if name == "_summary" else count
        elif name == "_sort" and value in ("-date", "-_lastUpdated"):
            pass  # as they come
        elif name not in ("_format", "_pretty"):
            if not lenient:
                raise bad(name, unknown(TYPE, name, (*PARAMETERS, *RESULTS)))
            continue
        kept.append((name, value))
    return _Asked(tuple(conditions), kept, count, before, counted or not count)


def _any(context: Context, name: str, value: str) -> Sql:
    """Return the condition that one of the values, between commas, is met."""
    parts = [PARAMETERS[name].condition(context, each) for each in value.split(",") if each]
    if not parts:
        return NEVER
    text = " OR ".join(f"({each.text})" for each in parts)
    return Sql(text, tuple(given for each in parts for given in each.parameters))


def _date(_: Context, value: str) -> Sql:
    found = _DATE.match(value.replace(" ", "+"))
    try:
        low, high = bounds(found[2]) if found else bounds("")
    except ValueError:
        raise bad("date", f"date={value}: this is not a date of FHIR.") from None
    prefix = (found[1] if found else None) or "eq"
    if prefix == "eq":
        return Sql("a.moment >= ? AND a.moment <= ?", (low, high))
    sign, edge = {
        "ge": (">=", low), "gt": (">", high), "sa": (">", high),
        "le": ("<=", high), "lt": ("<", low), "eb": ("<", low),
    }[prefix]  # fmt: skip
    return Sql(f"a.moment {sign} ?", (edge,))


def _patient(context: Context, value: str) -> Sql:
    """Return the condition that an event told of a child, by whichever of its linked Patients."""
    kind, _, key = value.rpartition("/") if "/" in value else ("Patient", "", value)
    if kind.rpartition("/")[2] != "Patient":
        raise bad("patient", f"patient={value}: name a Patient, as Patient/123.")
    return store.of_child(context.database, key)


def _agent(_: Context, value: str) -> Sql:
    return Sql("a.principal = ?", (value.rpartition("|")[2],))


def _role(_: Context, value: str) -> Sql:
    role = value.rpartition("|")[2]
    return Sql("' ' || a.role || ' ' LIKE ?", (f"% {role} %",)) if role.isalpha() else NEVER


def _action(_: Context, value: str) -> Sql:
    code = value.rpartition("|")[2]
    if code == "E":
        return _among("a.interaction", ACTIONS, negated=True)
    return _among("a.interaction", [name for name, each in ACTIONS.items() if each == code])


def _outcome(_: Context, value: str) -> Sql:
    code = value.rpartition("|")[2]
    return Sql(_OUTCOMES[code], ()) if code in _OUTCOMES else NEVER


def _subtype(_: Context, value: str) -> Sql:
    code = value.rpartition("|")[2]
    if code == "operation":
        return Sql("a.interaction LIKE ?", ("$%",))
    names = [code, f"${code}", *(["search-compartment"] if code == "search-type" else [])]
    return _among("a.interaction", names)


def _entity(_: Context, value: str) -> Sql:
    found = _REFERENCE.match(value)
    if found is None:
        raise bad("entity", f"entity={value}: name a resource, as Encounter/123.")
    return Sql("a.type = ? AND a.key = ?", (found[1], found[2]))


def _address(_: Context, value: str) -> Sql:
    return Sql("a.address = ?", (value,))


def _id(_: Context, value: str) -> Sql:
    return Sql("a.id = ?", (int(value),)) if _is_number(value) else NEVER


def _among(column: str, values: Iterable[str], *, negated: bool = False) -> Sql:
    listed = tuple(values)
    if not listed:
        return NEVER
    return Sql(f"{column} {'NOT ' if negated else ''}IN ({marks(listed)})", listed)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: its type, and what a value of it asks of a row."""

    type: str
    condition: Callable[[Context, str], Sql]


PARAMETERS: Mapping[str, Parameter] = {
    "_id": Parameter("token", _id),
    "_lastUpdated": Parameter("date", _date),
    "action": Parameter("token", _action),
    "address": Parameter("string", _address),
    "agent": Parameter("reference", _agent),
    "agent-name": Parameter("string", _agent),
    "agent-role": Parameter("token", _role),
    "date": Parameter("date", _date),
    "entity": Parameter("reference", _entity),
    "outcome": Parameter("token", _outcome),
    "patient": Parameter("reference", _patient),
    "subtype": Parameter("token", _subtype),
}
"""What may be asked of events."""
RESULTS = ("_count", "_total", "_summary", "_sort")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER


def _url(place: str, pairs: list[tuple[str, str]]) -> str:
    return place + (f"?{urlencode(pairs)}" if pairs else "")
