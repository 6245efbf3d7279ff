"""Questionnaire/$populate: a draft response to a form, filled in with what is known; stores nothing.

https://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import profiles
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.operations import named_form
from fhir_server.operations.finding import Finding
from fhir_server.operations.forms import one
from fhir_server.operations.parameters import Input, Kinds, missing, value_of
from fhir_server.operations.sent_data import Sent
from fhir_server.store.search.texts import escape
from questionnaires.population import populate as filled_in
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource

FORM: Kinds = {
    "questionnaire": "questionnaire",
    "canonical": "uri",
    "questionnaireRef": "reference",
    "identifier": "Identifier",
}
"""What names the form; `canonical` and `questionnaireRef` are the names of SDC 3.0."""
NAMES: Kinds = {
    **FORM,
    "subject": "reference",
    "context": "parts",
    "launchContext": "parts",
    "data": "resource",
    "dataEndpoint": "resource",
    "local": "boolean",
}
REPEATS = ("context", "launchContext")


def populate(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return Parameters: the draft (`response`) and what could not be filled in (`issues`).

    Raises FhirError 400 where no form is named, or several; 404 or 410 where it is not known; 422
    where it is not valid, where other servers would have to be asked, and beyond the limits.
    """
    if "dataEndpoint" in given:
        text = "This server asks no other server: send what the form needs in `data`."
        raise _refused(422, "not-supported", text, "dataEndpoint")
    form = _form(context, given, resource_id)
    issues: list[Issue] = []
    sent = Sent(tuple(_sent(context, given.get("data"), issues)))
    finding = Finding(context, sent, is_local=given.get("local", True))
    made = filled_in(
        form,
        subject=_subject(context, given.get("subject"), finding),
        contexts=_contexts(context, given, finding, issues),
        find=finding,
        now=instant(context.now()),
        terminology=context.terminology,
    )
    if finding.refusal is not None:
        raise finding.refusal
    listed: list[Resource] = [{"name": "response", "resource": made.response}]
    if told := list(dict.fromkeys([*issues, *finding.issues, *made.issues])):
        listed.append({"name": "issues", "resource": operation_outcome(told)})
    return {"resourceType": "Parameters", "parameter": listed}


def _refused(status: int, code: str, text: str, parameter: str) -> FhirError:
    return FhirError(status, [error(code, text, f"Parameters.parameter('{parameter}')")])


def _form(context: Context, given: Input, resource_id: str | None) -> Resource:
    """Return the form that the URL or exactly one parameter names."""
    named = [name for name in FORM if name in given]
    if resource_id is not None:
        if named:
            text = f"The URL names the form already: leave out the parameter {named[0]}."
            raise _refused(400, "invalid", text, named[0])
        return named_form.stored(context, resource_id)
    if not named:
        raise missing(*FORM)
    if len(named) > 1:
        text = f"The form is named by {' and by '.join(named)}: name it once."
        raise _refused(400, "invalid", text, named[1])
    if named == ["identifier"]:
        return _identified(context, given["identifier"])
    return named_form.named(context, given[named[0]])


def _identified(context: Context, identifier: dict[str, Any]) -> Resource:
    token = "|".join(
        escape(str(identifier[key])) for key in ("system", "value") if key in identifier
    )
    _, found = find(context, "Questionnaire", urlencode({"identifier": token}))
    if len(found) != 1:
        text = f"The identifier {token} is that of {len(found)} Questionnaires here, not of one."
        raise _refused(404, "not-found", text, "identifier")
    return named_form.stored(context, found[0].id)


def _sent(
    context: Context, data: Resource | None, issues: list[Issue]
) -> Iterator[tuple[str, Resource]]:
    """Yield the fullUrl and resource of the entries of `data` that can be read as FHIR."""
    if data is None:
        return
    entries = data.get("entry", [])
    if data["resourceType"] != "Bundle" or not isinstance(entries, list):
        raise _refused(400, "structure", "The parameter data is a Bundle.", "data")
    for index, entry in enumerate(entries):
        held = entry.get("resource") if isinstance(entry, dict) else None
        if held is not None and _is_readable(context, held, f"data.entry[{index}]", issues):
            yield str(entry.get("fullUrl", "")), held


def _is_readable(context: Context, held: Any, where: str, issues: list[Issue]) -> bool:
    """Tell whether what was sent has the structure of its type; what has not is left out, and told of."""
    kind = held.get("resourceType") if isinstance(held, dict) else None
    options = context.checked(str(kind), warnings=False)
    now = instant(context.now())
    found = profiles.validate(held, context.terminology, now=now, options=options) if kind else []
    wrong = next((issue for issue in found if issue.code == "structure"), None)
    if kind is not None and wrong is None:
        return True
    why = f": {wrong.diagnostics}" if wrong else ""
    text = f"{where} cannot be read as a FHIR resource, and is not used{why}"
    issues.append(Issue("warning", "structure", text, None, "populate"))
    return False


def _subject(
    context: Context, subject: dict[str, Any] | None, finding: Finding
) -> dict[str, Any] | None:
    """Return the subject, a conditional reference as that of the one resource that it means here."""
    if subject is None or not finding.is_local or "?" not in subject["reference"]:
        return subject
    reference = subject["reference"]
    kind = reference.partition("?")[0]
    found = one(context, reference, kind)
    if found is None:
        text = (
            f"The subject {reference} means no {kind} here, or several: send the registration first, "
            "or name one."
        )
        raise _refused(422, "not-found", text, "subject")
    return {**subject, "reference": f"{found.type}/{found.id}"}


def _contexts(
    context: Context, given: Input, finding: Finding, issues: list[Issue]
) -> dict[str, list[Resource]]:
    """Map the name of each context to its resources, references resolved; what is not found is told of."""
    found: dict[str, list[Resource]] = {}
    for name in REPEATS:
        for parts in given.get(name, ()):
            named = [value_of(part) for part in parts if part.get("name") == "name"]
            if len(named) != 1 or not isinstance(named[0], str):
                raise _refused(400, "required", "A context has one part `name`, a string.", name)
            listed = found.setdefault(named[0], [])
            for part in parts:
                if part.get("name") == "content":
                    listed += _content(context, value_of(part), finding, issues, named[0])
    return found


def _content(
    context: Context, content: Any, finding: Finding, issues: list[Issue], name: str
) -> list[Resource]:
    if isinstance(content, dict) and "resourceType" in content:
        where = f"The context {name}"
        return [content] if _is_readable(context, content, where, issues) else []
    reference = content.get("reference") if isinstance(content, dict) else None
    if not isinstance(reference, str):
        text = "A context's content is a resource, or a Reference that has a reference."
        raise _refused(400, "structure", text, "context")
    try:
        found = finding(reference)
    except FhirError as refused:
        text = f"The context {name} is not used: {refused}"
        issues.append(Issue("warning", refused.issues[0].code, text, None, "populate"))
        return []
    if not found:
        text = f"The context {name} is not used: {reference} is not known here, nor in `data`."
        issues.append(Issue("warning", "not-found", text, None, "populate"))
    return found
