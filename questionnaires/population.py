"""Populate a form: a draft response with what is known already, expression- and observation-based.

https://hl7.org/fhir/uv/sdc/populate.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from questionnaires.calculation import CALCULATED, Calculation, fhirpath, put
from questionnaires.coercion import Answer, coerced, initial
from questionnaires.elements import CORE, SDC, Item, answers, extension_value, extensions, value_of
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.filling import Filling, Place
from questionnaires.latest import Latest
from questionnaires.options import Codes, refusals
from questionnaires.queries import LANGUAGE, Asking, Find, batch_response, source_queries
from questionnaires.well_formed import require_well_formed
from r4.issue import FhirError, Issue, error
from r4.json import Resource
from terminology import Terminology

_LAUNCH = SDC + "launchContext"
_CONTEXT = SDC + "itemPopulationContext"
_INITIAL = SDC + "initialExpression"
_VARIABLE = CORE + "variable"
_CHOICES = (SDC + "candidateExpression", SDC + "contextExpression")
"""What is a user's to choose from: not evaluated here, and the name that it gives is empty."""
_RULE = "populate"
SOURCE_QUERIES = "sourceQueries"
"""The name by which a caller may hand in what the form's source queries find."""

__all__ = ["Find", "Populated", "populate"]


class Populated(NamedTuple):
    """A draft response, and what could not be filled in, with the reason."""

    response: Resource
    issues: list[Issue]


def populate(
    questionnaire: Resource,
    *,
    subject: Resource | None,
    contexts: Mapping[str, list[Resource]],
    find: Find,
    now: str,
    terminology: Terminology | None = None,
) -> Populated:
    """Return a response (in-progress) to an assembled form, answered as far as the form knows how.

    subject: a Reference; without one, the patient of the contexts. contexts: resources by the name
    of a launch context, a root variable or the source queries; find answers the form's queries; now
    is an instant. With a terminology, what is outside a question's value set is left out.

    Disabled items are absent. An expression or query that fails, and a value that does not fit its
    question, leaves that question empty and is an issue (a warning): the rest is filled in.
    Raises FhirError (422) for a form whose own extensions are malformed, or that has no end of items.
    """
    require_well_formed(questionnaire)
    subject = subject or _subject_of(contexts)
    response: Resource = {"resourceType": "QuestionnaireResponse"}
    if "url" in questionnaire:
        version = f"|{questionnaire['version']}" if "version" in questionnaire else ""
        response["questionnaire"] = questionnaire["url"] + version
    response["status"] = "in-progress"
    if subject is not None:
        response["subject"] = subject
    response["authored"] = now
    asking = Asking(find)
    codes = None if terminology is None else Codes(questionnaire, terminology)
    work = _Population(questionnaire, contexts, asking, Latest(asking, subject), codes)
    work.fill(Scope(questionnaire, response, now=now, resolve=asking.resolve), subject)
    return Populated(response, [*work.lasting, *work.passing.values()])


def _subject_of(contexts: Mapping[str, list[Resource]]) -> Resource | None:
    for patient in contexts.get("patient", ()):
        if patient.get("resourceType") == "Patient" and "id" in patient:
            return {"reference": f"Patient/{patient['id']}"}
    return None


@dataclass(frozen=True, slots=True)
class _Population:
    form: Resource
    contexts: Mapping[str, list[Resource]]
    asking: Asking
    latest: Latest
    codes: Codes | None
    lasting: list[Issue] = field(default_factory=list)
    passing: dict[tuple[str, str], Issue] = field(default_factory=dict)
    """What failed in the last round: an earlier one may have lacked what was filled in since."""

    def fill(self, scope: Scope, subject: Resource | None) -> None:
        """Answer the questions of a response until no more of them can be answered."""
        scope = self._sources(self._launched(scope, subject))
        scope = scope.having(
            **(self._repetitions(self.form, Focus(scope.response), scope) or [{}])[0]
        )
        filling = Filling(self._declare, self._tell, self._repetitions)
        calculation = Calculation(self._tell)
        is_filling = True
        while is_filling:
            self.passing.clear()
            found = [self._is_answered(place) for place in filling.places(scope)]
            is_filling = any(found)
            calculation.settle(filling, scope)
        filling.tidy(scope)

    def _is_answered(self, place: Place) -> bool:
        """Answer a question that has no answer yet; tells whether that was possible."""
        if answers(place.item) or extension_value(place.definition, CALCULATED) is not None:
            return False
        put(place.item, self._first(place))
        return bool(answers(place.item))

    def _first(self, place: Place) -> list[Answer]:
        """Return the first answers of a question: by expression, by Observation, or as the form has them."""
        for found in (self._expressed, self.latest.value, _initially):
            try:
                if made := self._fitting(place, coerced(place.definition, found(place), self.form)):
                    return made
            except FhirError as failed:
                self._tell(place.definition, failed)
        return []

    def _expressed(self, place: Place) -> list[Focus]:
        held = extension_value(place.definition, _INITIAL)
        focus = of_item(place.item)
        if held is None:
            return []
        if held.get("language") == LANGUAGE:
            found = self.asking.rows(held["expression"], place.scope, focus)
            return [Focus(each) for each in found]
        return place.scope.foci(fhirpath(held), focus)

    def _fitting(self, place: Place, made: list[Answer]) -> list[Answer]:
        """Return the answers that are in the question's value set, as far as that is known."""
        return [each for each in made if self._is_offered(place.definition, each)]

    def _is_offered(self, definition: Item, answer: Answer) -> bool:
        found = value_of(answer)
        if self.codes is None or found is None:
            return True
        refused = [
            each for each in refusals(definition, *found, self.codes) if each.severity == "error"
        ]
        for finding in refused:
            self._tell(definition, FhirError(422, [error(finding.code, finding.text)]))
        return not refused

    def _launched(self, scope: Scope, subject: Resource | None) -> Scope:
        """Return the scope with the form's launch contexts; one that was not given is empty."""
        names: set[str] = {SOURCE_QUERIES, *(name for name, _ in source_queries(self.form))}
        names |= {held["valueExpression"]["name"] for held in extensions(self.form, _VARIABLE)}
        for held in extensions(self.form, _LAUNCH):
            named = extension_value(held, "name")
            name = named["code"] if isinstance(named, dict) else named
            names.add(name)
            scope = scope.having(**{name: self._context(name, held, subject)})
        for name in self.contexts.keys() - names:
            text = (
                f"The form has no launch context or variable {name!r}: what it holds is not used."
            )
            self.lasting.append(Issue("information", "informational", text, None, _RULE))
        return scope

    def _context(self, name: str, held: Item, subject: Resource | None) -> list[Resource]:
        types = {each["valueCode"] for each in extensions(held, "type")}
        given = self.contexts.get(name)
        if given is None and name == "patient" and subject and "reference" in subject:
            given = self._read(subject["reference"])
        if wrong := [
            each for each in given or () if types and each.get("resourceType") not in types
        ]:
            kinds = ", ".join(str(each.get("resourceType")) for each in wrong)
            text = f"The launch context {name!r} is {' or '.join(sorted(types))}, not {kinds}."
            self.lasting.append(Issue("warning", "invalid", text, None, _RULE))
            return []
        if len(given or ()) > 1 and not extension_value(held, "multiplesAllowed"):
            text = f"The launch context {name!r} is one resource; {len(given or ())} are given."
            self.lasting.append(Issue("warning", "invalid", text, None, _RULE))
            return []
        return given or []

    def _read(self, reference: str) -> list[Resource]:
        try:
            found = self.asking.ask(reference)
        except FhirError as refused:
            self.lasting.extend(_warnings(self.form, refused))
            return []
        if not found:
            text = f"The subject {reference} is not found: nothing is filled in from it."
            self.lasting.append(Issue("warning", "not-found", text, None, _RULE))
        return found

    def _sources(self, scope: Scope) -> Scope:
        """Return the scope with the answers to the form's source queries, by the batch's name."""
        for name, queries in source_queries(self.form):
            given = self.contexts.get(SOURCE_QUERIES) or self.contexts.get(name)
            if given is None:
                given = [batch_response([self._source(query, scope) for query in queries])]
            scope = scope.having(**{name: given})
        return scope

    def _source(self, query: str, scope: Scope) -> Resource:
        try:
            found = self.asking.value(query, scope, Focus(scope.response))
        except FhirError as refused:
            self.lasting.extend(_warnings(self.form, refused))
            found = []
        return found[0] if found else {"resourceType": "Bundle", "type": "searchset", "total": 0}

    def _declare(self, element: Resource | Item, focus: Focus, scope: Scope) -> Scope:
        """Return the scope with an element's variables; one that fails is empty."""
        for held in extensions(element, *_CHOICES):
            scope = scope.having(**{held["valueExpression"].get("name", ""): []})
        for held in extensions(element, _VARIABLE):
            declared = held["valueExpression"]
            given = self.contexts.get(declared["name"]) if element is self.form else None
            found = self._value(element, declared, focus, scope) if given is None else given
            scope = scope.having(**{declared["name"]: found})
        return scope

    def _value(
        self, element: Resource | Item, declared: dict[str, Any], focus: Focus, scope: Scope
    ) -> list[Any]:
        try:
            if declared.get("language") == LANGUAGE:
                return [*self.asking.value(declared["expression"], scope, focus)]
            return scope.items(fhirpath(declared), focus)
        except FhirError as failed:
            self._tell(element, failed)
            return []

    def _repetitions(
        self, definition: Resource | Item, focus: Focus, scope: Scope
    ) -> list[dict[str, Any]]:
        """Return the variables of each repetition that a group is to have, by its population context."""
        held = extension_value(definition, _CONTEXT)
        if held is None:
            return [{}]
        try:
            if held.get("language") == LANGUAGE:
                found: list[Any] = [*self.asking.rows(held["expression"], scope, focus)]
            else:
                found = scope.items(fhirpath(held), focus)
        except FhirError as failed:
            self.lasting.extend(_warnings(definition, failed))
            found = []
        name = held.get("name", "")
        if definition.get("repeats"):
            return [{name: [each]} for each in found]
        if len(found) > 1:
            text = f"{len(found)} contexts are found for a group that does not repeat"
            self.lasting.extend(_warnings(definition, FhirError(422, [error("processing", text)])))
        return [{name: found if len(found) == 1 else []}]

    def _tell(self, element: Resource | Item, failed: FhirError) -> None:
        for issue in _warnings(element, failed):
            self.passing[element.get("linkId", ""), issue.diagnostics] = issue


def _initially(place: Place) -> list[Focus]:
    return initial(place.definition)


def _warnings(element: Resource | Item, failed: FhirError) -> Iterator[Issue]:
    link_id = element.get("linkId")
    place = f"Questionnaire.descendants().where(linkId='{link_id}')" if link_id else "Questionnaire"
    named = f"{link_id}: " if link_id else ""
    for issue in failed.issues:
        yield Issue("warning", issue.code, named + issue.diagnostics, place, _RULE)
