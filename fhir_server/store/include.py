"""`_include` and `_revinclude`: what a page's resources refer to, and what refers to them.

https://hl7.org/fhir/R4/search.html#include
"""

from collections.abc import Iterator, Sequence

from fhir_server.store import read
from fhir_server.store.connection import Database
from fhir_server.store.read import Stored
from fhir_server.store.resolve import canonical_of
from fhir_server.store.search import expressions, values
from fhir_server.store.search.criteria import is_canonical
from fhir_server.store.search.keys import key, link, place
from fhir_server.store.search.parameters import Parameter, parameters
from fhir_server.store.search.query import Criterion, Include, Query
from fhir_server.store.search.texts import escape
from r4 import definitions, fhirpath
from r4.json import Resource, decode

MOST = 5000
"""Most resources that are included in one page; where there are more, the answer says so."""

MOST_STEPS = 20
"""Most steps of `:iterate`; where there are more, the answer says so."""

Places = dict[tuple[str, str], None]


def included(
    database: Database, query: Query, found: Sequence[Stored]
) -> tuple[list[Stored], bool]:
    """Return what the query includes beside the matches found, and whether that is all of it."""
    newest = query.snapshot if query.snapshot is not None else read.snapshot(database)
    known = {(stored.type, stored.id) for stored in found}
    gathered: list[Stored] = []
    layer, rules = list(found), query.includes
    steps = 0
    while layer and rules and len(gathered) <= MOST and steps < MOST_STEPS:
        steps += 1
        following: list[Stored] = []
        for rule in rules:
            for stored in _followed(database, rule, layer, newest):
                if (stored.type, stored.id) not in known:
                    known.add((stored.type, stored.id))
                    following.append(stored)
        gathered += following
        layer = following
        rules = tuple(rule for rule in query.includes if rule.iterate)
    is_cut = len(gathered) > MOST or (steps == MOST_STEPS and bool(layer and rules))
    return gathered[:MOST], not is_cut


def _followed(
    database: Database, rule: Include, layer: Sequence[Stored], newest: int
) -> list[Stored]:
    if rule.reversed:
        return _referring(database, rule, layer, newest)
    targets: Places = {}
    canonicals: dict[tuple[str, str], None] = {}
    for stored in layer:
        if rule.type in ("*", stored.type):
            _collect(rule, decode(stored.body), targets, canonicals)
    found = read.at(database, targets, newest)
    for kind, url in canonicals:
        found += _by_url(database, kind, url, newest)
    return found


def _collect(
    rule: Include, resource: Resource, targets: Places, canonicals: dict[tuple[str, str], None]
) -> None:
    around = expressions.environment(resource)
    for parameter in _parameters(resource["resourceType"], rule.parameter):
        for value, _ in fhirpath.compile(parameter.expression).typed(resource, around):
            found = values.target(value)
            if found is not None and found.base is None:
                if rule.target in ("", found.type):
                    targets[found.type, found.id] = None
            elif isinstance(value, str):
                kinds = (rule.target,) if rule.target else parameter.targets
                canonicals.update(dict.fromkeys((kind, value) for kind in kinds))


def _parameters(resource_type: str, code: str) -> Iterator[Parameter]:
    for parameter in parameters(resource_type).values():
        if parameter.type == "reference" and code in (parameter.code, "*"):
            yield parameter


def _by_url(database: Database, kind: str, canonical: str, newest: int) -> list[Stored]:
    """Find what a canonical URL names, of the version that it asks for."""
    url, _, version = canonical.partition("|")
    parameter = parameters(kind).get("url")
    if parameter is None:
        return []
    criterion = Criterion(parameter, "", (escape(url.partition("#")[0]),))
    found = read.search(database, Query(kind, (criterion,), snapshot=newest))
    return [each for each in found if not version or decode(each.body).get("version") == version]


def _referring(
    database: Database, rule: Include, layer: Sequence[Stored], newest: int
) -> list[Stored]:
    wanted = [stored for stored in layer if rule.target in ("", stored.type)]
    kinds = {stored.type for stored in wanted}
    sources = definitions.resource_types() if rule.type == "*" else (rule.type,)
    literals: list[int] = []
    canonicals: list[tuple[str, str]] = []
    for source in sources:
        for parameter in _parameters(source, rule.parameter):
            if kinds & set(parameter.targets):
                codes = parameter.parts or (parameter.code,)
                if is_canonical(parameter):
                    canonicals += [(source, code) for code in codes]
                else:
                    literals += [key(source, code) for code in codes]
    places = [place(stored.type, stored.id) for stored in wanted]
    words = [link(param, target) for target in places for param in dict.fromkeys(literals)]
    words += _naming(wanted, canonicals)
    return read.referring(database, list(dict.fromkeys(words)), newest, MOST + 1)


def _naming(wanted: Sequence[Stored], places: Sequence[tuple[str, str]]) -> Iterator[int]:
    """Yield the words of canonicals that name resources, of their version or of none."""
    for stored in wanted if places else ():
        if canonical := canonical_of(decode(stored.body)):
            url, bar, _ = canonical.partition("|")
            for source, code in places:
                yield key(source, f"{code}:below", f"{url}|")
                if bar:
                    yield key(source, code, canonical)
