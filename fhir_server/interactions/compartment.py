"""Compartments: what belongs to one patient, encounter, device, practitioner or related person.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from dataclasses import dataclass
from functools import cache

from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.interactions.search import Pairs, Scope, search
from fhir_server.store.search.query import Compartment
from r4 import definitions
from r4.issue import FhirError, error

_URL = "http://hl7.org/fhir/CompartmentDefinition/"
_DEFINITION = {
    "Patient": "patient",
    "Encounter": "encounter",
    "RelatedPerson": "relatedPerson",
    "Practitioner": "practitioner",
    "Device": "device",
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose compartment is meant."""

    type: str
    id: str


def compartment(context: Context, owner: Owner, resource_type: str, pairs: Pairs) -> bytes:
    """Return the searchset of `[owner]/[id]/[type]?…`; the type `*` is every type of the compartment.

    Raises FhirError 404 for an owner that has no compartment or is not here, or a type that is not
    in it, or an unknown operation, 400 for what the search does not serve.
    """
    if resource_type.startswith("$"):
        text = f"One {owner.type} has no operation {resource_type}: /metadata lists the operations."
        raise FhirError(404, [error("not-found", text, "http.url")])
    places = parameters_of(owner.type)
    if resource_type != "*" and resource_type not in places:
        text = f"{resource_type} is not in the compartment of {owner.type}."
        raise FhirError(404, [error("not-found", text, "http.url")])
    read(context, owner.type, owner.id)
    path = f"{owner.type}/{owner.id}/{resource_type}"
    scope = Scope(path, within(owner), pairs)
    if resource_type != "*":
        return search(context, resource_type, pairs, scope=scope)
    every = [] if any(name == "_type" for name, _ in pairs) else [("_type", ",".join(places))]
    return search(context, "", [*pairs, *every], scope=scope)


def within(owner: Owner) -> Compartment:
    """Return the condition that a resource is in a compartment."""
    places = parameters_of(owner.type)
    listed = tuple((kind, code) for kind, codes in places.items() for code in codes)
    return Compartment(f"{owner.type}/{owner.id}", listed, itself=True)


@cache
def parameters_of(owner_type: str) -> dict[str, tuple[str, ...]]:
    """Map the types in a compartment to their reference parameters, none for the owner's own type.

    Raises FhirError 404 for a type that has no compartment.
    """
    name = _DEFINITION.get(owner_type)
    found = definitions.definition("CompartmentDefinition", _URL + name) if name else None
    if found is None:
        text = f"{owner_type} has no compartment."
        raise FhirError(404, [error("not-found", text, "http.url")])
    listed = {each["code"]: each["param"] for each in found["resource"] if each.get("param")}
    listed.setdefault(owner_type, [])
    return {kind: tuple(c for c in codes if c != "{def}") for kind, codes in listed.items()}
