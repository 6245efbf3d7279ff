"""What the terminology operations refuse, and how they say where."""

from typing import Any

import pytest

from terminology.systems import SNOMED_CT
from tests.support.server import Served
from tests.support.terminology_client import (
    CLINICAL,
    CLINICALS,
    HL7,
    MAP,
    REDS,
    STATUS,
    STATUSES,
    coding,
    refused,
    sent,
    url,
)

pytestmark = pytest.mark.postgresql_slow


@pytest.mark.parametrize(
    ("path", "status", "code", "expression"),
    [
        ("/ValueSet/$validate-code?code=a", 400, "required", ".system"),
        (f"/ValueSet/$validate-code?system={STATUS}&code=a", 400, "required", ".url"),
        (f"/ValueSet/$validate-code?url={STATUSES}", 400, "required", ".code"),
        (f"/ValueSet/$validate-code?url=urn:no&system={STATUS}&code=a", 404, "not-found", ".url"),
        ("/ValueSet/$validate-code?coding=a", 400, "not-supported", "http.coding"),
        ("/ValueSet/$validate-code?unheard=of", 400, "not-supported", "http"),
        ("/ValueSet/no-such/$validate-code?system=a&code=b", 404, "not-found", ""),
        ("/CodeSystem/$validate-code?code=a", 400, "required", ".url"),
        ("/CodeSystem/$lookup?code=a", 400, "required", ".system"),
        (f"/CodeSystem/$lookup?system={CLINICAL}", 400, "required", ".code"),
        (f"/CodeSystem/$lookup?system={CLINICAL}&code=no", 404, "not-found", ""),
        (f"/CodeSystem/$lookup?system={SNOMED_CT}&code=1", 422, "not-supported", ""),
        (f"/CodeSystem/$subsumes?system={CLINICAL}&codeA=active", 400, "required", ".codeB"),
        ("/ValueSet/$expand", 400, "required", ".url"),
        ("/ValueSet/$expand?url=urn:no", 404, "not-found", ".url"),
        (f"/ValueSet/$expand?url={CLINICALS}&count=many", 400, "structure", ".count"),
        (f"/ValueSet/$expand?url={CLINICALS}&count=-1", 400, "value", ".count"),
        (f"/ValueSet/$expand?url={CLINICALS}&activeOnly=1", 400, "structure", ".activeOnly"),
        (f"/ValueSet/$expand?url={CLINICALS}&system-version=x", 400, "value", ".system-version"),
        (f"/ValueSet/$expand?url={CLINICALS}&exclude-system=x|1", 400, "value", ".exclude-system"),
        (f"/ValueSet/$expand?url={HL7}/ValueSet/condition-code", 422, "not-supported", ""),
        ("/ConceptMap/$translate?code=a", 400, "required", ".system"),
        ("/ConceptMap/$translate?code=a&system=b", 400, "required", ".url"),
        ("/ConceptMap/$translate?code=a&system=b&url=urn:no", 404, "not-found", ".url"),
        ("/ConceptMap/$translate?dependency=x", 400, "not-supported", "http"),
    ],
)
def test_what_is_not_asked_rightly_is_refused_and_says_where(
    server: Served, path: str, status: int, code: str, expression: str
) -> None:
    name = expression.removeprefix(".")
    where = f"Parameters.parameter('{name}')" if name != expression else expression
    assert refused(server.http.get(path)) == (status, code, where or None)


@pytest.mark.parametrize(
    ("parameter", "status", "said"),
    [
        ({"name": "url", "valueInteger": 1}, 400, "The parameter url is a uri."),
        ({"name": "coding", "valueCoding": {"system": "a"}}, 400, "is a Coding with a code"),
        (
            {"name": "codeableConcept", "valueCodeableConcept": {"coding": "a"}},
            400,
            "each of whose codings",
        ),
        ({"name": "codeableConcept", "valueCodeableConcept": {"text": "a"}}, 400, "has no coding"),
        ({"name": "valueSet", "resource": MAP}, 400, "is a ValueSet, not a ConceptMap"),
        ({"name": "valueSet", "resource": {**REDS, "compose": "x"}}, 422, "ValueSet.compose"),
        ({"name": "unheard", "valueString": "of"}, 400, "has no parameter 'unheard'"),
    ],
)
def test_a_parameter_of_another_kind_is_refused(
    server: Served, parameter: dict[str, Any], status: int, said: str
) -> None:
    is_coded = parameter["name"] in ("coding", "codeableConcept")
    others = [] if is_coded else [coding(STATUS, "final")]
    answer = sent(server, "/ValueSet/$validate-code", url(STATUSES), parameter, *others)
    assert answer.status_code == status
    assert said in answer.text


@pytest.mark.parametrize("name", ["", "a\x00b", "a" * 201, "a\nb"])
def test_a_closure_table_has_a_name(server: Served, name: str) -> None:
    answer = sent(server, "/$closure", {"name": "name", "valueString": name})
    assert refused(answer) == (400, "value", "Parameters.parameter('name')")


@pytest.mark.parametrize("text", ["a%00b", "a%ED%A0%80", "a|b,c$d%5C", "a" * 3000])
def test_a_url_that_is_none_is_not_known(server: Served, text: str) -> None:
    for path in (
        f"/ValueSet/$expand?url={text}",
        f"/ValueSet/$validate-code?url={text}&system={text}&code={text}",
        f"/CodeSystem/$lookup?system={text}&code={text}",
        f"/CodeSystem/$validate-code?url={text}&code={text}",
        f"/ConceptMap/$translate?url={text}&system={text}&code={text}",
    ):
        assert server.http.get(path).status_code in (400, 404)
