"""CodeSystem/$lookup: what a code means.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.operations.parameters import Input, Kinds, required
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Found
from terminology.expand import spoken

NAMES: Kinds = {
    "code": "code",
    "system": "uri",
    "version": "string",
    "coding": "Coding",
    "displayLanguage": "code",
    "property": "code",
}
REPEATS = ("property",)


def lookup(context: Context, given: Input) -> Resource:
    """Return the Parameters of a code's name, display, designations and properties.

    `property` names which are wanted; none: all. Raises FhirError 400 for what is not asked rightly, 404
    for a code or system that there is not, 422 for a system that is not loaded.
    """
    system, code, version = _asked(given)
    found = context.terminology.concept(system, code, version)
    listed: list[Resource] = [{"name": "name", "valueString": found.name}]
    if found.version is not None:
        listed.append({"name": "version", "valueString": found.version})
    display = spoken(found.concept, given.get("displayLanguage")) or code
    listed.append({"name": "display", "valueString": display})
    wanted = given.get("property", [])
    return {
        "resourceType": "Parameters",
        "parameter": [*listed, *_designations(found, wanted), *_properties(found, wanted)],
    }


def _asked(given: Input) -> tuple[str, str, str | None]:
    """Return system, code and version; raises FhirError 400 unless they are said in one way."""
    if ("coding" in given) == ("code" in given):
        text = "Name a code in one way: code and system, or coding."
        raise FhirError(400, [error("required", text, "Parameters.parameter('code')")])
    if "code" in given:
        return required(given, "system"), given["code"], given.get("version")
    coding = given["coding"]
    if "system" not in coding:
        where = "Parameters.parameter('coding').value.system"
        raise FhirError(400, [error("required", "The Coding has no system.", where)])
    return coding["system"], coding["code"], coding.get("version") or given.get("version")


def _designations(found: Found, wanted: Sequence[str]) -> list[Resource]:
    if wanted and "designation" not in wanted:
        return []
    kinds = {"language": "valueCode", "use": "valueCoding", "value": "valueString"}
    return [
        {
            "name": "designation",
            "part": [{"name": n, k: designation[n]} for n, k in kinds.items() if n in designation],
        }
        for designation in found.concept.designations
    ]


def _properties(found: Found, wanted: Sequence[str]) -> list[Resource]:
    return [
        {
            "name": "property",
            "part": [{"name": "code", "valueCode": name}, {"name": "value", **value}],
        }
        for name, value in found.properties
        if not wanted or name in wanted
    ]
