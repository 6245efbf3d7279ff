"""Who a person that has signed in is as a resource: a Practitioner with the number of the identity provider.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data
"""

from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context, Principal
from fhir_server.interactions.transaction import transaction
from fhir_server.store.search.texts import escape
from r4.json import Resource
from r4.reference import literal


async def fhir_user(context: Context, person: Principal, told: Resource) -> str:
    """Return the local reference to somebody's Practitioner, stored where it is not known.

    told: `display`, and `identifier` with the provider as its system. Raises FhirError 412 where several
    have the number.
    """
    number: dict[str, Any] = told["identifier"]
    token = "|".join(escape(number[name]) for name in ("system", "value"))
    entry = {
        "resource": {
            "resourceType": "Practitioner",
            "identifier": [number],
            "name": [{"text": told["display"]}],
        },
        "request": {
            "method": "POST",
            "url": "Practitioner",
            "ifNoneExist": urlencode({"identifier": token}),
        },
    }
    storing = context.asked_by(Principal(person.name, frozenset()))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = await transaction(storing, bundle)
    place = literal(answer["entry"][0]["response"]["location"])
    assert place is not None  # noqa: S101 - our own answer
    return f"{place.type}/{place.id}"
