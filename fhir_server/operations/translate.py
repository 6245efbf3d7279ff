"""ConceptMap/$translate: a code in other words.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from collections.abc import Iterator

from fhir_server.context import Context
from fhir_server.operations import canonicals
from fhir_server.operations.canonicals import Named
from fhir_server.operations.parameters import Input, Kinds, missing, required
from r4.canonical import split
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Coding, Match
from terminology.sources import canonical
from terminology.translate import NO_MATCH

NAMES: Kinds = {
    "url": "uri",
    "conceptMap": "resource",
    "conceptMapVersion": "string",
    "code": "code",
    "system": "uri",
    "version": "string",
    "source": "uri",
    "coding": "Coding",
    "codeableConcept": "CodeableConcept",
    "target": "uri",
    "targetsystem": "uri",
    "reverse": "boolean",
}
_CHOICE = ("source", "target", "targetsystem")


def translate(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the Parameters of the matches, each with its equivalence and the map that says so.

    Without a map, every map between the value sets (source, target) or into the system that is named.
    Raises FhirError 400 for what is not asked rightly, 404 for a map that there is not.
    """
    codings = _codings(given)
    reverse = given.get("reverse", False)
    matches = [
        match
        for concept_map in _maps(context, given, resource_id)
        for coding in codings
        for match in context.terminology.matches_of(concept_map, coding, reverse=reverse)
        if _is_wanted(match, given.get("targetsystem"))
    ]
    is_found = any(match.equivalence not in NO_MATCH for match in matches)
    listed: list[Resource] = [{"name": "result", "valueBoolean": is_found}]
    if not is_found:
        named = ", ".join(f"{coding['system']}|{coding['code']}" for coding in codings)
        listed.append({"name": "message", "valueString": f"There is no translation of {named}."})
    return {"resourceType": "Parameters", "parameter": [*listed, *map(_match, matches)]}


def _maps(context: Context, given: Input, resource_id: str | None) -> Iterator[Resource]:
    named = Named("ConceptMap", resource_id, "conceptMap", "conceptMapVersion")
    one = canonicals.resource(context, named, given)
    if one is not None:
        yield one.resource
        return
    if not any(name in given for name in _CHOICE):
        raise missing("url")
    for url in context.terminology.catalogue.urls("ConceptMap"):
        concept_map = context.terminology.find("ConceptMap", url)
        if concept_map is not None and all(
            _joins(concept_map, side, given[side]) for side in ("source", "target") if side in given
        ):
            yield concept_map


def _joins(concept_map: Resource, side: str, value_set: str) -> bool:
    """Tell whether a map is from, or into, a value set."""
    stated = concept_map.get(f"{side}Canonical", concept_map.get(f"{side}Uri", ""))
    return split(str(stated))[0] == split(value_set)[0]


def _is_wanted(match: Match, system: str | None) -> bool:
    return system is None or canonical(match.coding.get("system", "")) == canonical(system)


def _codings(given: Input) -> list[Coding]:
    ways = [name for name in ("code", "coding", "codeableConcept") if name in given]
    if len(ways) != 1:
        text = "Say what is to be translated in one way: code, coding or codeableConcept."
        raise FhirError(400, [error("required", text, "Parameters.parameter('code')")])
    if ways == ["code"]:
        return [{"system": required(given, "system"), "code": given["code"]}]
    listed = [given["coding"]] if "coding" in given else given["codeableConcept"].get("coding", [])
    if not listed or any("system" not in each for each in listed):
        where = f"Parameters.parameter('{ways[0]}')"
        raise FhirError(400, [error("required", "Each Coding has a system and a code.", where)])
    return listed


def _match(match: Match) -> Resource:
    part: list[Resource] = [
        {"name": "equivalence", "valueCode": match.equivalence},
        {"name": "concept", "valueCoding": match.coding},
    ]
    if match.source:
        part.append({"name": "source", "valueUri": match.source})
    return {"name": "match", "part": part}
