"""Codes of a few countries and regions, whose value set R4 carries without the codes."""

from r4.json import Resource

_NAMES = {
    "urn:iso:std:iso:3166": {"AU": "Australia", "BD": "Bangladesh"},
    "urn:iso:std:iso:3166:-2": {"AU-VIC": "Victoria"},
    "http://unstats.un.org/unsd/methods/m49/m49.htm": {"036": "Australia"},
}


def code_systems() -> list[Resource]:
    """Return the code systems, each as if these were all of its codes."""
    return [
        {
            "resourceType": "CodeSystem",
            "id": f"countries-{number}",
            "url": url,
            "status": "active",
            "content": "complete",
            "concept": [{"code": code, "display": display} for code, display in names.items()],
        }
        for number, (url, names) in enumerate(_NAMES.items())
    ]
