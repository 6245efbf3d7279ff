"""`$export`, asked for: of the system, of all patients, or of a Group; what is wanted, read and checked.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.compartment import parameters_of
from fhir_server.interactions.read import read
from fhir_server.operations.asynchronous import NDJSON, accept
from fhir_server.store import read as store
from fhir_server.store.search.parse import Around, Query, parse
from fhir_server.store.search.results import is_result
from r4 import dates, definitions
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import Literal, literal

NAMES = ("_outputFormat", "_since", "_type", "_typeFilter", "_elements", "patient")
_BETWEEN = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
"""The comma between two `_typeFilter`s: values have commas too."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is exported: everything, or (level "Patient" or "Group") what is about patients."""

    level: str = ""
    group: str | None = None


async def export(
    context: Context,
    scope: Scope,
    given: Sequence[tuple[str, str]],
    url: str,
    *,
    lenient: bool = False,
) -> str:
    """Accept an export of what stands now, and return its job's id; `url` is the request's.

    Raises FhirError 400 for parameters that are not served (unless handling is lenient), 404 and 410
    for a Group that is not here.
    """
    asked = _read(context, scope, given, lenient=lenient)
    moment = context.settled()
    snapshot = store.snapshot(context.database)
    members = _members(context, scope, asked.pop("patients"), snapshot)
    request = {
        **asked, "level": scope.level, "members": members, "snapshot": snapshot,
        "transactionTime": instant(moment), "now": microseconds(context.now()), "url": url,
    }  # fmt: skip
    return await accept(context, "export", request)


def filters(context: Context, resource_type: str, texts: Iterable[str], now: int) -> list[Query]:
    """Return the searches of a type that `_typeFilter` asks for; raises FhirError 400."""
    around = Around(context.terminology, now, context.base_url)
    found = []
    for text in texts:
        kind, _, criteria = text.partition("?")
        if kind == resource_type:
            found.append(parse(kind, criteria, around))
    return found


def types_of(level: str) -> tuple[str, ...]:
    """Return the types that an export of a level may hold."""
    return tuple(parameters_of("Patient")) if level else definitions.resource_types()


def _read(
    context: Context, scope: Scope, given: Sequence[tuple[str, str]], *, lenient: bool
) -> Resource:
    """Read the parameters; raises FhirError 400."""
    values: dict[str, list[str]] = {name: [] for name in NAMES}
    for name, value in given:
        if name in values and (name != "patient" or scope.level):
            values[name].append(value)
        elif not lenient and name not in ("_format", "_pretty"):
            raise _bad(name, f"$export has no parameter {name} here; it has: {', '.join(NAMES)}.")
    for value in values["_outputFormat"]:
        if value.replace(" ", "+") not in NDJSON and not lenient:
            raise _bad("_outputFormat", f"_outputFormat={value}: exports are {NDJSON[0]}.")
    texts = [text for value in values["_typeFilter"] for text in _BETWEEN.split(value)]
    types = _types(scope, values["_type"], lenient=lenient)
    _refuse_filters(context, types, texts)
    return {
        "types": types,
        "since": _since(values["_since"]),
        "filters": texts,
        "elements": [e for value in values["_elements"] for e in value.split(",") if e],
        "patients": values["patient"],
    }


def _types(scope: Scope, values: Iterable[str], *, lenient: bool) -> list[str]:
    """Return the types that are wanted, all that there may be where none is named."""
    served = types_of(scope.level)
    wanted = [kind for value in values for kind in value.split(",") if kind]
    for kind in wanted:
        if kind not in served and not lenient:
            where = "the compartment of Patient" if scope.level else "FHIR R4"
            raise _bad("_type", f"_type={kind}: this is not a type of {where}.")
    return [kind for kind in served if kind in wanted or not wanted]


def _since(values: Sequence[str]) -> str | None:
    if not values:
        return None
    text = values[-1].replace(" ", "+")  # a plus that nobody has encoded
    if not dates.is_instant(text):
        raise _bad("_since", f"_since={text}: this is not an instant.")
    return text


def _refuse_filters(context: Context, types: Sequence[str], texts: Sequence[str]) -> None:
    """Raise FhirError 400 for a filter that is no search, or of a type that is not exported."""
    now = microseconds(context.now())
    for text in texts:
        kind, asks, criteria = text.partition("?")
        if not asks or kind not in types:
            raise _bad("_typeFilter", f"_typeFilter={kind}: this type is not exported.")
        filters(context, kind, [text], now)
        for name in (pair.partition("=")[0] for pair in criteria.split("&")):
            if is_result(name):
                raise _bad("_typeFilter", f"{name} changes an answer, not what matches.")


def _members(
    context: Context, scope: Scope, patients: Sequence[str], snapshot: int
) -> list[str] | None:
    """Return the ids of the patients that are meant; None for all of them."""
    named = [place.id for text in patients if (place := _patient(text))]
    if scope.group is None:
        _refuse_unknown(context, named, snapshot)
        return named or None
    read(context, "Group", scope.group)
    members = members_of(context, scope.group, snapshot)
    if others := [each for each in named if each not in set(members)]:
        text = f"Patient/{others[0]} is no active member of Group/{scope.group}."
        raise FhirError(400, [error("not-found", text, "Parameters.parameter('patient')")])
    return named or members


def _patient(text: str) -> Literal | None:
    place = literal(text)
    if place is None or place.type != "Patient":
        raise _bad("patient", f"patient={text}: this is no reference to a Patient.")
    return place


def _refuse_unknown(context: Context, named: Sequence[str], snapshot: int) -> None:
    here = {
        each.id for each in store.at(context.database, (("Patient", i) for i in named), snapshot)
    }
    for each in named:
        if each not in here:
            text = f"Patient/{each} is not known here."
            raise FhirError(400, [error("not-found", text, "Parameters.parameter('patient')")])


def members_of(context: Context, group: str, snapshot: int) -> list[str]:
    """Return the ids of the Patients that are active members of a Group or of the Groups in it."""
    members: dict[str, None] = {}
    waiting, seen = [group], {group}
    while waiting:
        some, waiting = waiting, []
        for stored in store.at(context.database, (("Group", each) for each in some), snapshot):
            for kind, key in _active(decode(stored.body)):
                if kind == "Patient":
                    members[key] = None
                elif kind == "Group" and key not in seen:
                    seen.add(key)
                    waiting.append(key)
    return list(members)


def _active(group: Resource) -> Iterable[tuple[str, str]]:
    for member in group.get("member", ()):
        place = literal(member.get("entity", {}).get("reference", ""))
        if place and place.base is None and not member.get("inactive"):
            yield place.type, place.id


def _bad(name: str, text: str) -> FhirError:
    return FhirError(400, [error("not-supported", text, f"http.{name}")])
