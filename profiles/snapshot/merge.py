"""What an element is once a differential's element is laid over the base's.

Rules accumulate, cardinalities and types narrow, everything else is replaced.
https://hl7.org/fhir/R4/elementdefinition.html#interpretation
"""

from collections.abc import Iterator, Mapping
from typing import Any

from r4.issue import Issue, error
from r4.json import Resource

_PLACE = {"id", "path", "sliceName"}
_ACCUMULATED = ("condition", "mapping", "example", "alias", "code", "extension")
_STRING = "http://hl7.org/fhirpath/System.String"  # of an id or url: a profile may name FHIR's type
_ANY = {"Resource", "DomainResource", "Element", "BackboneElement", "*", _STRING}


def merged(base: Resource, said: Resource) -> Resource:
    """Return the base's element with what a differential says of it; neither is changed."""
    made = {**base, **{key: value for key, value in said.items() if key not in _PLACE}}
    for name in _ACCUMULATED:
        if name in base and name in said:
            made[name] = [*base[name], *(each for each in said[name] if each not in base[name])]
    if "constraint" in base and "constraint" in said:
        made["constraint"] = _constraints(base["constraint"], said["constraint"])
    if "binding" in base and "binding" in said:
        kept = {
            key: base["binding"][key] for key in ("strength", "valueSet") if key in base["binding"]
        }
        made["binding"] = kept | said["binding"]
    if "slicing" in base and "slicing" in said:
        made["slicing"] = base["slicing"] | said["slicing"]
    return made


def widenings(base: Resource, said: Resource, id: str) -> Iterator[Issue]:
    """Yield an issue for whatever a differential allows that its base does not."""
    if "min" in said and said["min"] < base.get("min", 0):
        text = f"{id} must have min {base['min']} or more, as in the base: it says {said['min']}."
        yield error("business-rule", text, id, "min")
    if "max" in said and most(said) > most(base):
        text = f"{id} must have max {base['max']} or less, as in the base: it says {said['max']}."
        yield error("business-rule", text, id, "max")
    allowed = {each.get("code") for each in base.get("type", ())}
    added = [each.get("code") for each in said.get("type", ()) if each.get("code") not in allowed]
    if added and allowed and not allowed & _ANY:
        named = ", ".join(sorted(str(code) for code in allowed))
        text = (
            f"{id} may have the base's types alone ({named}): it says {', '.join(map(str, added))}."
        )
        yield error("business-rule", text, id, "type")


def most(element: Mapping[str, Any]) -> float:
    """Return the most repetitions an element may have, infinity for `*` and where nothing is said."""
    said = element.get("max", "*")
    return float("inf") if said == "*" else int(said)


def _constraints(base: list[Resource], said: list[Resource]) -> list[Resource]:
    anew = {each.get("key"): each for each in said}
    known = {each.get("key") for each in base}
    return [anew.get(each.get("key"), each) for each in base] + [
        each for each in said if each.get("key") not in known
    ]
