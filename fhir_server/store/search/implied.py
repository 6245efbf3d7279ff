"""The code system that an element of type `code` implies: the one that its binding takes codes from.

https://hl7.org/fhir/R4/search.html#token
"""

from collections.abc import Iterator

from r4 import definitions
from terminology.sources import canonical


def implied_system(path: str) -> str:
    """Return the system of the codes at a path (`Patient.gender`); "" where none is bound, or several."""
    structure = definitions.structure(path.partition(".")[0])
    elements = structure["snapshot"]["element"] if structure else ()
    element = next((each for each in elements if each["path"] == path), None)
    if element is None or element.get("binding", {}).get("strength") != "required":
        return ""
    systems = set(_systems(element["binding"].get("valueSet", ""), ()))
    return systems.pop() if len(systems) == 1 else ""


def _systems(value_set: str, above: tuple[str, ...]) -> Iterator[str]:
    """Yield the systems that a value set includes, "" for what is not known."""
    found = definitions.definition("ValueSet", value_set)
    if found is None or found["url"] in above or "compose" not in found:
        yield ""
        return
    for include in found["compose"]["include"]:
        if "system" in include:
            yield canonical(include["system"])
        for imported in () if "system" in include else include.get("valueSet", ()):
            yield from _systems(imported, (*above, found["url"]))
