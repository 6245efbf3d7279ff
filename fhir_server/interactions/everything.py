"""`$everything`: the record of one patient or encounter, and what it refers to.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from fhir_server.context import Context
from fhir_server.interactions.compartment import Owner, parameters_of, within
from fhir_server.interactions.read import read
from fhir_server.interactions.search import Pairs, Scope, search
from r4.issue import FhirError, error

NAMES = ("_since", "_type", "_count", "_page", "_format", "_pretty")


def everything(context: Context, owner: Owner, pairs: Pairs) -> bytes:
    """Return the searchset of a compartment, its owner in it, in pages.

    What the resources of a page refer to is included, unless `_type` says which types are wanted.
    Raises FhirError 404 for an owner that is not here, 400 for a parameter that is not in NAMES.
    """
    read(context, owner.type, owner.id)
    for name, _ in pairs:
        if name not in NAMES:
            text = f"$everything has no parameter {name} here; it has: {', '.join(NAMES)}."
            raise FhirError(400, [error("not-supported", text, f"http.{name}")])
    asked = [("_lastUpdated", f"ge{v}") if name == "_since" else (name, v) for name, v in pairs]
    if not any(name == "_type" for name, _ in pairs):
        asked += [("_type", ",".join(parameters_of(owner.type))), ("_include", "*")]
    scope = Scope(f"{owner.type}/{owner.id}/$everything", within(owner), pairs)
    return search(context, "", asked, scope=scope)
