"""What the registry holds, as an analyst is shown it: resources in pseudonyms, and tokens read back."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.access import pseudonym_reports
from fhir_server.access.analyst import ABOUT_A_CHILD, ORGANIZATION, READABLE, REPORT
from fhir_server.access.pseudonym_elements import Rules, WithheldError, knows, leaving, linked
from fhir_server.access.pseudonyms import Pseudonyms, in_use
from fhir_server.context import Context
from fhir_server.store import owners
from fhir_server.store.custody import persons
from fhir_server.store.read import Stored
from fhir_server.store.search.keys import place
from fhir_server.store.whose import REGISTRYS
from r4.json import Resource, decode
from r4.reference import literal
from terminology.systems import CSOR

_MOST_KNOWN = 100_000
_SUBJECTS = ("subject", "patient")


class Shown(NamedTuple):
    """A resource as it is shown, and the token that is its id."""

    token: str
    resource: Resource


class AnalystView:
    """What an analyst is shown, by the pseudonyms that are in use now.

    Raises FhirError 403 where there are none.
    """

    def __init__(self, context: Context) -> None:
        self.pseudonyms: Pseudonyms = in_use(context.settings)
        self._database, self._terminology = context.database, context.terminology
        self._days = lru_cache(_MOST_KNOWN)(self._days_of)
        self.knows = lru_cache(_MOST_KNOWN)(self._knows)
        self._allows = lru_cache(_MOST_KNOWN)(self._is_allowed)
        self._form = lru_cache(_MOST_KNOWN)(self._links)

    def shown(self, stored: Stored) -> Shown | None:
        """Return a version as it is shown; None where it is not."""
        kind = stored.type
        if kind not in READABLE or stored.deleted:
            return None
        resource: Resource = decode(stored.body)
        token = self.pseudonyms.token(kind, place(kind, stored.id))
        try:
            found = self._report(resource) if kind == REPORT else self._leaving(resource)
        except WithheldError:
            return None
        return Shown(token, {"resourceType": kind, "id": token, **found})

    def id_of(self, kind: str, token: str) -> str | None:
        """Return the id of the resource of a token; None where there is none."""
        at = self.pseudonyms.place(kind, token)
        rows = [] if at is None else self._database.read_at(at)
        return next((row[2] for row in rows if row[1] == kind and not row[5]), None)

    def refer(self, text: str) -> str | None:
        """Return a reference in tokens; None for one to what is not shown, or elsewhere."""
        found = literal(text)
        if found is None or found.base is not None or found.type not in READABLE:
            return None
        return f"{found.type}/{self.pseudonyms.token(found.type, place(found.type, found.id))}"

    def _leaving(self, resource: Resource) -> Resource:
        kind, policy = resource["resourceType"], self.pseudonyms.policy
        child = _child(resource) if kind in ABOUT_A_CHILD else None
        if child is None and kind != ORGANIZATION:
            raise WithheldError
        days = None if child is None else self._days(child)
        rules = Rules(
            days,
            policy.birth_date,
            policy.postcode,
            self.refer,
            self.knows,
            self._allows,
            self._form,
        )
        return leaving(resource, rules)

    def _report(self, report: Resource) -> Resource:
        named = (REPORT, report["id"])
        whose = owners.standing(self._database, [named]).get(named, REGISTRYS)
        if not pseudonym_reports.is_published(report, whose):
            raise WithheldError
        return pseudonym_reports.leaving(report, self.refer)

    def _days_of(self, child: int) -> int:
        """Return by how many days a child's dates are earlier: Patients that are linked are one child.

        Raises FhirError 503 while the index, which says who is linked, is being made anew.
        """
        self._database.index.refuse(self._database)
        return self.pseudonyms.days(min(persons(self._database, [child])[0]))

    def _knows(self, system: str, code: str) -> bool:
        return knows(self._terminology, system, code)

    def _is_allowed(self, value_set: str, code: str) -> bool:
        return self._terminology.validate_code(value_set.partition("|")[0], None, code) is True

    def _links(self, url: str) -> frozenset[str]:
        own = url.startswith(f"{CSOR}/Questionnaire/")
        found = self._terminology.find("Questionnaire", url) if own else None
        return frozenset() if found is None else linked(found)


def _child(resource: Resource) -> int | None:
    """Return the key of the Patient whose a resource is; None where it names none here."""
    if resource["resourceType"] == "Patient":
        return place("Patient", resource["id"])
    named: list[Any] = [resource.get(name) for name in _SUBJECTS]
    texts = [each.get("reference") for each in named if isinstance(each, Mapping)]
    found = literal(texts[0]) if texts and isinstance(texts[0], str) else None
    if found is None or found.base is not None or found.type != "Patient":
        return None
    return place("Patient", found.id)
