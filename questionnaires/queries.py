"""Queries of a form: x-fhir-query with FHIRPath in it, and the batch of sourceQueries.

https://hl7.org/fhir/fhir-xquery.html and
https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-sourceQueries.html
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from questionnaires.elements import SDC, extension_value
from questionnaires.expressions import Focus, Scope
from r4.issue import FhirError, error
from r4.json import Resource

LANGUAGE = "application/x-fhir-query"

Find = Callable[[str], list[Resource]]
"""What is asked, "Observation?code=…&patient=…" or "Patient/1", to the resources that are found.

Raises FhirError where the query is refused.
"""

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def filled(query: str, scope: Scope, focus: Focus) -> str:
    """Return a query with its `{{FHIRPath}}` evaluated; "" where one of them finds nothing.

    Several values are joined by commas. Each is encoded, and its own commas are escaped, so that
    no value can be another parameter, another value or another path.
    Raises FhirError for an expression that fails or finds an element that is no single value.
    """
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(query):
        values = [_text(value) for value in scope.evaluate(match[1].strip(), focus)]
        if not values:
            return ""
        parts += [query[end : match.start()], ",".join(quote(value, safe="") for value in values)]
        end = match.end()
    return "".join([*parts, query[end:]]).strip()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if not isinstance(value, str | int):
        text = (
            "A query holds texts, numbers and dates; an element has to be narrowed to one of these"
        )
        raise FhirError(422, [error("processing", text)])
    return str(value).replace("\\", "\\\\").replace(",", "\\,")


@dataclass(frozen=True, slots=True)
class Asking:
    """Queries that are asked once each, however often a form makes use of them."""

    find: Find
    _answered: dict[str, list[Resource] | FhirError] = field(default_factory=dict)

    def ask(self, query: str) -> list[Resource]:
        """Return what a filled query finds; raises FhirError where it is refused."""
        if query not in self._answered:
            try:
                self._answered[query] = self.find(query)
            except FhirError as refused:
                self._answered[query] = refused
        answered = self._answered[query]
        if isinstance(answered, FhirError):
            raise answered
        return answered

    def rows(self, query: str, scope: Scope, focus: Focus) -> list[Resource]:
        """Return the resources that a query finds once it is filled; none where it cannot be filled."""
        asked = filled(query, scope, focus)
        return self.ask(asked) if asked else []

    def value(self, query: str, scope: Scope, focus: Focus) -> list[Resource]:
        """Return what a variable of a query is: a searchset Bundle, or the resource that is read."""
        found = self.rows(query, scope, focus)
        return [_searchset(found)] if "?" in query else found

    def resolve(self, reference: str) -> Resource | None:
        """Return the resource of a reference, or None; raises FhirError where it is refused."""
        found = self.ask(reference)
        return found[0] if found else None


def _searchset(found: list[Resource]) -> Resource:
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return {**bundle, "entry": [{"resource": each} for each in found]} if found else bundle


def source_queries(questionnaire: Resource) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the queries of the batch that a form wants to draw on.

    The name is the id of the contained Bundle, by which expressions speak of its answer.
    """
    wanted = extension_value(questionnaire, SDC + "sourceQueries") or {}
    for held in questionnaire.get("contained", ()):
        if held["resourceType"] == "Bundle" and wanted.get("reference") == f"#{held.get('id')}":
            requests = (entry.get("request", {}) for entry in held.get("entry", ()))
            yield held["id"], [asked["url"] for asked in requests if asked.get("method") == "GET"]


def batch_response(answers: list[Resource]) -> Resource:
    """Return the Bundle of what the queries of a batch find, in their order."""
    entries = [{"resource": each} for each in answers]
    return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
