"""Check a response against its form: items, types, presence, repetition, options, constraints.

Rules and expressions follow HL7's test cases (FHIR/fhir-test-cases, questionnaire module). Drafts
may break rules, what is completed may not: https://hl7.org/fhir/uv/sdc/validation.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from questionnaires.bounds import violations
from questionnaires.constraints import broken
from questionnaires.elements import (
    CORE,
    Item,
    answers,
    extension_value,
    has_content,
    is_for,
    value_of,
)
from questionnaires.enablement import is_enabled
from questionnaires.expressions import Focus, Scope, of_item
from questionnaires.options import Codes, excludes_others, offered, refusals
from r4 import dates
from r4.issue import FhirError, Issue, Severity, error
from r4.json import Resource
from terminology import Terminology

_TYPES = {
    "boolean": ("Boolean",),
    "decimal": ("Decimal",),
    "integer": ("Integer",),
    "date": ("Date",),
    "dateTime": ("DateTime",),
    "time": ("Time",),
    "string": ("String",),
    "text": ("String",),
    "url": ("Uri",),
    "choice": ("Coding",),
    "open-choice": ("Coding", "String"),
    "attachment": ("Attachment",),
    "reference": ("Reference",),
    "quantity": ("Quantity",),
}


def check(
    questionnaire: Resource, response: Resource, terminology: Terminology, *, strict: bool
) -> list[Issue]:
    """Check a response, which is valid FHIR by itself, against its form.

    strict: as for a completed response. Otherwise nothing is required, and a broken rule is a
    warning; what does not fit the form's structure (severity fatal) is refused in either case.
    An expression of the form that cannot be evaluated is the only issue then returned.
    """
    if not is_for(response, questionnaire):
        named = response.get("questionnaire")
        text = f"The response answers {named!r}, not the form {questionnaire.get('url')!r}"
        where = "QuestionnaireResponse.questionnaire"
        return [error("not-found", text, where, "questionnaireNotFound")]
    try:
        found = list(_all(questionnaire, response, terminology))
    except FhirError as unreadable:
        return list(unreadable.issues)
    return found if strict else [_of_a_draft(issue) for issue in found if _counts(issue)]


def _all(questionnaire: Resource, response: Resource, terminology: Terminology) -> Iterator[Issue]:
    scope = Scope(questionnaire, response).within(questionnaire, Focus(response))
    walk = _Walk(scope, Codes(questionnaire, terminology), (response,), "QuestionnaireResponse")
    yield from _of_the_form(questionnaire, response)
    yield from walk.items(questionnaire.get("item", []), response.get("item", []))
    yield from broken(questionnaire, Focus(response), scope, "QuestionnaireResponse")


def _counts(issue: Issue) -> bool:
    return issue.rule not in ("required", "minCount")


def _of_a_draft(issue: Issue) -> Issue:
    return replace(issue, severity="warning") if issue.severity == "error" else issue


def _of_the_form(questionnaire: Resource, response: Resource) -> Iterator[Issue]:
    status = questionnaire.get("status")
    where = "QuestionnaireResponse.questionnaire"
    if status == "draft":
        text = "The form is a draft"
        yield Issue("warning", "business-rule", text, where, "questionnaireDraft")
    if status == "retired":
        text = "The form has been retired"
        yield Issue("warning", "business-rule", text, where, "questionnaireRetired")
    period, authored = questionnaire.get("effectivePeriod", {}), response.get("authored")
    if authored is not None and not _is_within(authored, period):
        text = "The response was written outside the period of the form's use"
        where = "QuestionnaireResponse.authored"
        yield Issue("warning", "business-rule", text, where, "questionnaireInactive")


def _is_within(authored: str, period: dict[str, str]) -> bool:
    try:
        low, high = dates.interval(authored)
        starts = dates.interval(period["start"])[0] if "start" in period else low
        ends = dates.interval(period["end"])[1] if "end" in period else high
    except ValueError:
        return True
    return starts < high and low < ends


@dataclass(frozen=True, slots=True)
class _Walk:
    """Where the check stands: the containers from the response down, and the path of the last."""

    scope: Scope
    codes: Codes
    containers: tuple[dict[str, Any], ...]
    path: str

    def items(self, definitions: Sequence[Item], present: Sequence[Item]) -> Iterator[Issue]:
        """Check the items that one container holds against their definitions."""
        by_id: dict[str, list[tuple[str, Item]]] = {each["linkId"]: [] for each in definitions}
        for index, item in enumerate(present):
            path, link_id = f"{self.path}.item[{index}]", item.get("linkId")
            if link_id in by_id:
                by_id[link_id].append((path, item))
            else:
                text = f"{link_id}: the form has no such item here"
                yield _fatal("invalidLinkId", text, path)
        for definition in definitions:
            found = by_id[definition["linkId"]]
            if is_enabled(definition, self.containers, self.scope):
                yield from self._enabled(definition, found)
            else:
                yield from _disabled(definition, found)

    def _enabled(self, definition: Item, found: list[tuple[str, Item]]) -> Iterator[Issue]:
        if definition["type"] == "question":
            text = f"{definition['linkId']}: `question` is abstract, no item can be of this type"
            yield from (_fatal("invalidType", text, path) for path, _ in found)
            return
        yield from self._occurrences(definition, found)
        for path, item in found:
            if definition["type"] == "group":
                yield from self._group(definition, path, item)
            elif definition["type"] == "display":
                if item.get("answer"):
                    text = f"{definition['linkId']}: a display item has no answer"
                    yield _fatal("displayAnswer", text, path)
            else:
                yield from self._question(definition, path, item)
            focus = of_item(item)
            yield from broken(definition, focus, self.scope.within(definition, focus), path)

    def _occurrences(self, definition: Item, found: list[tuple[str, Item]]) -> Iterator[Issue]:
        link_id, type = definition["linkId"], definition["type"]
        if type == "display":
            return
        place = found[0][0] if found else self.path
        if type == "group":
            count = sum(has_content(item) for _, item in found)
        else:
            count = sum(len(answers(item)) for _, item in found)
        if definition.get("required") and count == 0:
            yield error("required", f"{link_id}: an answer is needed", place, "required")
        if not definition.get("repeats") and max(count, len(found)) > 1:
            text = f"{link_id}: {max(count, len(found))} answers where one is allowed"
            yield error("business-rule", text, place, "repeats")
        minimum = extension_value(definition, CORE + "questionnaire-minOccurs")
        if minimum is not None and count < minimum:
            text = f"{link_id}: at least {minimum} answers are needed, {count} given"
            yield error("business-rule", text, place, "minCount")
        maximum = extension_value(definition, CORE + "questionnaire-maxOccurs")
        if maximum is not None and count > maximum:
            text = f"{link_id}: at most {maximum} answers are allowed, {count} given"
            yield error("business-rule", text, place, "maxCount")

    def _group(self, definition: Item, path: str, item: Item) -> Iterator[Issue]:
        if "answer" in item:
            text = f"{definition['linkId']}: a group has items, no answers"
            yield _fatal("groupShouldNotHaveAnswers", text, f"{path}.answer")
        yield from self._within(item, path).items(definition.get("item", []), item.get("item", []))

    def _question(self, definition: Item, path: str, item: Item) -> Iterator[Issue]:
        if "item" in item:
            text = f"{definition['linkId']}: what belongs to a question stands within its answer"
            yield _fatal("questionShouldNotHaveItems", text, f"{path}.item")
        given = item.get("answer", [])
        for index, answer in enumerate(given):
            place = f"{path}.answer[{index}]"
            if (value := value_of(answer)) is not None:
                yield from self._answer(definition, *value, place)
                if len(given) > 1 and excludes_others(definition, value[1]):
                    text = f"{definition['linkId']}: this answer excludes the others"
                    yield error("business-rule", text, place, "exclusiveAnswerOption")
            if "item" in definition or "item" in answer:
                inner = self._within(answer, place)
                yield from inner.items(definition.get("item", []), answer.get("item", []))

    def _answer(self, definition: Item, kind: str, value: Any, path: str) -> Iterator[Issue]:
        usual = _TYPES.get(definition["type"], ())
        if kind not in usual and all(kind != each for each, _ in offered(definition)):
            text = f"{definition['linkId']}: a {definition['type']} is not answered by a {kind}"
            yield _fatal("invalidAnswerType", text, path)
            return
        for severity, code, rule, text in (
            *violations(definition, kind, value),
            *refusals(definition, kind, value, self.codes),
        ):
            yield Issue(severity, code, f"{definition['linkId']}: {text}", path, rule)

    def _within(self, container: dict[str, Any], path: str) -> "_Walk":
        return _Walk(self.scope, self.codes, (*self.containers, container), path)


def _disabled(definition: Item, found: list[tuple[str, Item]]) -> Iterator[Issue]:
    for path, item in found:
        if has_content(item):
            text = f"{definition['linkId']}: the answers given elsewhere rule this question out"
            yield error("business-rule", text, path, "disabled")


def _fatal(rule: str, text: str, path: str) -> Issue:
    severity: Severity = "fatal"
    return Issue(severity, "structure", text, path, rule)
