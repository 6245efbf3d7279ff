"""$closure: a client's table of codes, kept here, and who is above whom in it.

https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from collections.abc import Iterable

from fhir_server.context import Context, instant
from fhir_server.operations.parameters import Input, Kinds, required
from fhir_server.store import closure as store
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import closure as tables
from terminology.closure import Relation, Table
from terminology.sources import canonical

NAMES: Kinds = {"name": "string", "concept": "Coding", "version": "string"}
REPEATS = ("concept",)
MOST = 10_000
"""Most codes of a table."""
_DIGITS = 9
_LONGEST = 200


async def closure(context: Context, given: Input) -> Resource:
    """Return the ConceptMap of what is new in a table: each code, and the codes that are above it.

    A name alone makes the table anew, empty. With codes, they are added to it; with a version, all that
    was added after it is told again. A table belongs to the caller that made it. Raises FhirError 400 for
    what is not asked rightly, 404 for a table or code that there is not, 422 for a system not loaded.
    """
    name = _named(required(given, "name"))
    owner = context.principal.name
    if "concept" in given and "version" in given:
        text = "Send codes to add, or the version after which to tell again, not both."
        raise FhirError(400, [error("invalid", text, "Parameters.parameter('version')")])
    if "concept" in given:
        codes = _codes(context, given["concept"])
        added = await store.extend(context.database, owner, name, codes, MOST)
        if added is None:
            raise _unknown(name)
        return _told(context, name, *added)
    if "version" in given:
        table = store.table(context.database, owner, name)
        if table is None:
            raise _unknown(name)
        return _told(context, name, table, _since(given["version"], table))
    await store.begin(context.database, owner, name)
    return _told(context, name, (), 0)


def _named(name: str) -> str:
    """Return a table's name; raises FhirError 400 for one that is no name."""
    if 0 < len(name) <= _LONGEST and name.isprintable():
        return name
    text = f"A closure table's name has 1 to {_LONGEST} printable characters."
    raise FhirError(400, [error("value", text, "Parameters.parameter('name')")])


def _codes(context: Context, codings: Iterable[Resource]) -> list[tuple[str, str]]:
    """Return the codes to add; raises FhirError for one that does not exist, or cannot be looked up."""
    found = []
    for number, coding in enumerate(codings):
        if "system" not in coding:
            where = f"Parameters.parameter('concept')[{number}].value.system"
            raise FhirError(400, [error("required", "The Coding has no system.", where)])
        system = canonical(coding["system"])
        context.terminology.subsumes(system, coding["code"], coding["code"])
        found.append((system, coding["code"]))
    return found


def _since(version: str, table: Table) -> int:
    if version.isascii() and version.isdecimal() and len(version) <= _DIGITS:
        number = int(version)
        if number <= tables.version(table):
            return number
    text = f"The table has had no version {version!r}: make it anew, with its name alone."
    raise FhirError(404, [error("not-found", text, "Parameters.parameter('version')")])


def _unknown(name: str) -> FhirError:
    text = f"There is no closure table {name!r}: make it first, with its name alone."
    return FhirError(404, [error("not-found", text, "Parameters.parameter('name')")])


def _told(context: Context, name: str, table: Table, since: int) -> Resource:
    """Return the ConceptMap of what is newer than a version."""

    def above(system: str, code: str) -> Iterable[str]:
        held = context.terminology.sources.system(system)
        return held.ancestors(code) if held is not None else ()

    groups: dict[str, dict[str, list[Resource]]] = {}
    for relation in tables.relations(table, since, above):
        elements = groups.setdefault(relation.system, {})
        elements.setdefault(relation.code, []).append(_target(relation))
    answer: Resource = {
        "resourceType": "ConceptMap",
        "version": str(tables.version(table)),
        "name": name,
        "status": "active",
        "experimental": True,
        "date": instant(context.now()),
    }
    if groups:
        answer["group"] = [
            {
                "source": system,
                "target": system,
                "element": [{"code": code, "target": above} for code, above in elements.items()],
            }
            for system, elements in groups.items()
        ]
    return answer


def _target(relation: Relation) -> Resource:
    return {"code": relation.above, "equivalence": "subsumes"}
