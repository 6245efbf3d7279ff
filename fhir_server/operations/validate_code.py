"""$validate-code: whether a code is in a value set, or in a code system.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from collections.abc import Callable, Sequence

from fhir_server.context import Context
from fhir_server.operations import canonicals
from fhir_server.operations.canonicals import Named
from fhir_server.operations.parameters import Input, Kinds, missing
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Coding, Terminology, Verdict
from terminology.reasons import said
from terminology.sources import canonical

_CODED: Kinds = {
    "code": "code",
    "display": "string",
    "coding": "Coding",
    "codeableConcept": "CodeableConcept",
}
OF_SYSTEM: Kinds = {"url": "uri", "codeSystem": "resource", "version": "string", **_CODED}
OF_SET: Kinds = {
    "url": "uri",
    "valueSet": "resource",
    "valueSetVersion": "string",
    "system": "uri",
    "systemVersion": "string",
    **_CODED,
}
_STATUS = {"unknown-value-set": (404, "not-found"), "unknown-system": (404, "not-found")}


def in_value_set(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the Parameters that say whether a Coding, or one of a CodeableConcept, is in a value set.

    Raises FhirError 400 for what is not asked rightly, 404 for what is not known, and 422 where it
    cannot be told: a false answer is never given in place of none.
    """
    codings = _codings(given, given.get("system"), given.get("systemVersion"))
    if "system" not in given and "code" in given:
        raise missing("system")
    url = given.get("url")
    if resource_id is None and "valueSet" not in given and url is not None:
        version = given.get("valueSetVersion")
        wanted = url if version is None else f"{url}|{version}"
        if context.terminology.members(wanted) is not None:
            return _answer(codings, lambda each: context.terminology.check(wanted, each))
    named = Named("ValueSet", resource_id, "valueSet", "valueSetVersion")
    value_set = canonicals.resource(context, named, given)
    if value_set is None:
        raise missing("url")
    members = canonicals.members(context, value_set)
    return _answer(codings, lambda each: context.terminology.check_in(members, each))


def in_code_system(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the Parameters that say whether a Coding, or one of a CodeableConcept, is in a system.

    Raises FhirError as `in_value_set` does.
    """
    terminology, system = _system(context, given, resource_id)
    codings = _codings(given, system, given.get("version"))
    if system is None and "code" in given:
        raise missing("url")
    return _answer(codings, lambda each: _in_system(terminology, system, each))


def _system(
    context: Context, given: Input, resource_id: str | None
) -> tuple[Terminology, str | None]:
    """Return the terminology to ask, and the uri of the code system that the request names."""
    if resource_id is None and "codeSystem" not in given:
        return context.terminology, given.get("url")
    named = Named("CodeSystem", resource_id, "codeSystem", "version")
    resource = canonicals.resource(context, named, given)
    if resource is None:
        raise missing("url")
    return canonicals.having(context, resource), resource.resource["url"]


def _in_system(terminology: Terminology, system: str | None, coding: Coding) -> Verdict:
    own = coding.get("system")
    if system is not None and own is not None and canonical(own) != canonical(system):
        return Verdict(False, "not-in-set", own, coding["code"])
    return terminology.check(None, coding if own else {**coding, "system": system})


def _codings(given: Input, system: str | None, version: str | None) -> list[Coding]:
    """Return what is to be checked; raises FhirError 400 unless it is said in one way."""
    ways = [name for name in ("code", "coding", "codeableConcept") if name in given]
    if len(ways) != 1:
        text = "Say what is to be checked in one way: code, coding or codeableConcept."
        raise FhirError(400, [error("required", text, "Parameters.parameter('code')")])
    if ways == ["code"]:
        said = (("system", system), ("version", version), ("display", given.get("display")))
        return [{"code": given["code"], **{name: value for name, value in said if value}}]
    listed = [given["coding"]] if "coding" in given else given["codeableConcept"].get("coding", [])
    if not listed:
        text = "The CodeableConcept has no coding: there is no code to check."
        where = "Parameters.parameter('codeableConcept').value.coding"
        raise FhirError(400, [error("required", text, where)])
    return [
        each if "version" in each or not version else {**each, "version": version}
        for each in listed
    ]


def _answer(codings: Sequence[Coding], check: Callable[[Coding], Verdict]) -> Resource:
    verdicts = [check(coding) for coding in codings]
    right = next((each for each in verdicts if each.result), None)
    if right is None and (untold := [each for each in verdicts if each.result is None]):
        status, code = _STATUS.get(untold[0].reason, (422, "not-supported"))
        raise FhirError(status, [error(code, said(each), rule=each.reason) for each in untold])
    listed: list[Resource] = [{"name": "result", "valueBoolean": right is not None}]
    messages = [text for each in ([right] if right else verdicts) if (text := said(each))]
    if messages:
        listed.append({"name": "message", "valueString": " ".join(messages)})
    shown = right or verdicts[0]
    if shown.display is not None:
        listed.append({"name": "display", "valueString": shown.display})
    return {"resourceType": "Parameters", "parameter": listed}
