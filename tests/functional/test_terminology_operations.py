"""The terminology operations over HTTP: https://hl7.org/fhir/R4/terminology-service.html."""

from typing import Any

import httpx
import pytest

from fhir_server.interactions import capabilities
from fhir_server.operations import closure, expand
from terminology.systems import SNOMED_CT
from tests.support.server import Served
from tests.support.terminology_client import (
    CLINICAL,
    CLINICALS,
    COLOURS,
    GENDER,
    HL7,
    MAP,
    OURS,
    REDS,
    STATUS,
    STATUSES,
    coding,
    named,
    refused,
    sent,
    url,
)


@pytest.fixture(scope="module")
def ids(server: Served) -> dict[str, str]:
    """The ids of a CodeSystem, a ValueSet and a ConceptMap that a user has stored."""
    made = {}
    for resource in (COLOURS, REDS, MAP):
        answer = server.http.post(f"/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        made[str(resource["resourceType"])] = str(answer.json()["id"])
    return made


# $validate-code


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (f"url={STATUSES}&system={STATUS}&code=final", True),
        (f"url={STATUSES}&valueSetVersion=4.0.1&system={STATUS}&code=final", True),
        (f"url={STATUSES}&system={STATUS}&code=final&display=Final", True),
        (f"url={STATUSES}&system={STATUS}&code=final&display=Last", False),
        (f"url={STATUSES}&system={STATUS}&code=finished", False),
        (f"url={STATUSES}&system={GENDER}&code=male", False),
    ],
)
def test_a_code_is_in_a_value_set_or_not(server: Served, query: str, result: bool) -> None:
    found = named(server.http.get(f"/ValueSet/$validate-code?{query}"))
    assert found["result"] is result
    assert ("message" in found) is not result


def test_a_right_code_is_given_its_display(server: Served) -> None:
    query = f"url={STATUSES}&system={STATUS}&code=final"
    found = named(server.http.get(f"/ValueSet/$validate-code?{query}"))
    assert found == {"result": True, "display": "Final"}


def test_codings_and_concepts_are_sent_with_post(server: Served) -> None:
    path = "/ValueSet/$validate-code"
    assert named(sent(server, path, url(STATUSES), coding(STATUS, "final")))["result"] is True
    assert named(sent(server, path, url(STATUSES), coding(STATUS, "x")))["result"] is False
    several = {"coding": [{"system": GENDER, "code": "male"}, {"system": STATUS, "code": "final"}]}
    concept = {"name": "codeableConcept", "valueCodeableConcept": several}
    assert named(sent(server, path, url(STATUSES), concept))["result"] is True
    del several["coding"][1]
    assert named(sent(server, path, url(STATUSES), concept))["result"] is False


def test_the_query_and_the_body_are_read_together(server: Served) -> None:
    answer = sent(server, f"/ValueSet/$validate-code?url={STATUSES}", coding(STATUS, "final"))
    assert named(answer)["result"] is True


def test_a_value_set_is_sent_along_or_stored(server: Served, ids: dict[str, str]) -> None:
    red, blue = coding(f"{OURS}/colours", "red"), coding(f"{OURS}/colours", "blue")
    along = {"name": "valueSet", "resource": REDS}
    place = f"/ValueSet/{ids['ValueSet']}/$validate-code"
    for path, first in (
        (place, None),
        ("/ValueSet/$validate-code", along),
        ("/ValueSet/$validate-code", url(REDS["url"])),  # type: ignore[arg-type]
        ("/ValueSet/$validate-code", url(f"{REDS['url']}|3")),
    ):
        more = [first] if first else []
        assert named(sent(server, path, *more, red))["result"] is True
        assert named(sent(server, path, *more, blue))["result"] is False


def test_a_stored_value_set_is_taken_as_it_is_stored_now(server: Served) -> None:
    made = server.http.post("/ValueSet", json={**REDS, "url": f"{OURS}/vs/changing"}).json()
    include = {"system": f"{OURS}/colours", "concept": [{"code": "pink"}]}
    path = f"/ValueSet/{made['id']}/$validate-code?system={OURS}/colours&code=pink"
    assert named(server.http.get(path))["result"] is False
    changed = {**made, "compose": {"include": [include]}}
    assert server.http.put(f"/ValueSet/{made['id']}", json=changed).status_code == 200
    assert named(server.http.get(path))["result"] is True
    assert server.http.delete(f"/ValueSet/{made['id']}").status_code == 200
    assert server.http.get(path).status_code == 410


def test_of_several_versions_the_newest_is_meant_whichever_was_stored_last(server: Served) -> None:
    canonical = f"{OURS}/vs/versions"
    for version, code in (("9", "red"), ("10", "pink"), ("2", "red")):
        include = {"system": f"{OURS}/colours", "concept": [{"code": code}]}
        said = {**REDS, "url": canonical, "version": version, "compose": {"include": [include]}}
        assert server.http.post("/ValueSet", json=said).status_code == 201
    path = f"/ValueSet/$validate-code?url={canonical}&system={OURS}/colours&code=pink"
    assert named(server.http.get(path))["result"] is True
    assert named(server.http.get(f"{path}&valueSetVersion=9"))["result"] is False


def test_a_code_is_of_a_code_system_or_not(server: Served, ids: dict[str, str]) -> None:
    place = f"/CodeSystem/{ids['CodeSystem']}/$validate-code"
    along = {"name": "codeSystem", "resource": COLOURS}
    code, other = {"name": "code", "valueCode": "pink"}, {"name": "code", "valueCode": "blue"}
    assert named(server.http.get(f"{place}?code=pink"))["result"] is True
    assert named(server.http.get(f"{place}?code=blue"))["result"] is False
    assert named(sent(server, "/CodeSystem/$validate-code", along, code))["result"] is True
    assert named(sent(server, "/CodeSystem/$validate-code", along, other))["result"] is False
    assert (
        named(sent(server, "/CodeSystem/$validate-code", coding(STATUS, "final")))["result"] is True
    )
    assert named(sent(server, place, coding(STATUS, "final")))["result"] is False
    query = f"url={STATUS}&code=final&display=Final"
    assert named(server.http.get(f"/CodeSystem/$validate-code?{query}"))["result"] is True


@pytest.mark.parametrize(
    ("path", "status", "rule"),
    [
        (f"/CodeSystem/$validate-code?url={SNOMED_CT}&code=1", 422, "not-loaded"),
        ("/CodeSystem/$validate-code?url=urn:unheard-of&code=1", 404, "unknown-system"),
        (
            f"/ValueSet/$validate-code?url={HL7}/ValueSet/condition-code&system={SNOMED_CT}&code=1",
            422,
            "not-loaded",
        ),
    ],
)
def test_a_code_that_cannot_be_checked_is_neither_right_nor_wrong(
    server: Served, path: str, status: int, rule: str
) -> None:
    answer = server.http.get(path)
    assert answer.status_code == status
    issue = answer.json()["issue"][0]
    assert issue["extension"][0]["valueString"] == rule
    assert "cannot be checked" in issue["diagnostics"]


# $expand


def test_a_value_set_is_expanded(server: Served) -> None:
    answer = server.http.get(f"/ValueSet/$expand?url={CLINICALS}")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["resourceType"], body["url"], body["status"]) == ("ValueSet", CLINICALS, "draft")
    assert body["expansion"]["total"] == len(body["expansion"]["contains"]) == 6
    assert "compose" not in body
    assert server.http.post("/$validate", json=body).json()["issue"][0]["severity"] == "information"


def test_a_page_of_what_words_find_says_how_it_was_made(server: Served) -> None:
    query = "filter=re&offset=1&count=2&activeOnly=true&includeDefinition=true"
    body = server.http.get(f"/ValueSet/$expand?url={CLINICALS}&{query}").json()
    expansion = body["expansion"]
    assert (expansion["total"], expansion["offset"], len(expansion["contains"])) == (4, 1, 2)
    assert expansion["parameter"] == [
        {"name": "filter", "valueString": "re"},
        {"name": "offset", "valueInteger": 1},
        {"name": "count", "valueInteger": 2},
        {"name": "activeOnly", "valueBoolean": True},
    ]
    assert "compose" in body


def test_a_value_set_is_expanded_by_id_along_and_nested(
    server: Served, ids: dict[str, str]
) -> None:
    stored = server.http.get(f"/ValueSet/{ids['ValueSet']}/$expand").json()
    along = sent(server, "/ValueSet/$expand", {"name": "valueSet", "resource": REDS}).json()
    for body in (stored, along):
        assert [each["code"] for each in body["expansion"]["contains"]] == ["red"]
    nested = server.http.get(f"/ValueSet/$expand?url={CLINICALS}&excludeNested=false").json()
    assert [each["code"] for each in nested["expansion"]["contains"]] == ["active", "inactive"]


def test_versions_are_asked_for_several_at_once(server: Served) -> None:
    path = f"/ValueSet/$expand?url={CLINICALS}&system-version={STATUS}|4.0.1"
    assert server.http.get(f"{path}&system-version={CLINICAL}|4.0.1").status_code == 200
    assert server.http.get(f"{path}&system-version={CLINICAL}|9").status_code == 422
    without = f"/ValueSet/$expand?url={CLINICALS}&exclude-system={STATUS}"
    assert server.http.get(without).json()["expansion"]["total"] == 6
    left_out = server.http.get(f"{without}&exclude-system={CLINICAL}").json()["expansion"]
    assert left_out["total"] == 0
    assert "contains" not in left_out


# $lookup and $subsumes


def test_a_code_is_looked_up(server: Served) -> None:
    answer = server.http.get(f"/CodeSystem/$lookup?system={CLINICAL}&code=recurrence")
    found = named(answer)
    assert (found["version"], found["display"]) == ("4.0.1", "Recurrence")
    assert found["property"] == [
        {"name": "code", "valueCode": "parent"},
        {"name": "value", "valueCode": "active"},
    ]
    posted = sent(server, "/CodeSystem/$lookup", coding(CLINICAL, "recurrence"))
    assert posted.json() == answer.json()


def test_only_the_properties_that_are_asked_for_are_given(server: Served) -> None:
    path = f"/CodeSystem/$lookup?system={CLINICAL}&code=active"
    every, some = server.http.get(path).json(), server.http.get(f"{path}&property=parent").json()
    assert "property" in {each["name"] for each in every["parameter"]}
    assert "property" not in {each["name"] for each in some["parameter"]}


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ("active", "relapse", "subsumes"),
        ("relapse", "active", "subsumed-by"),
        ("active", "active", "equivalent"),
        ("active", "inactive", "not-subsumed"),
    ],
)
def test_one_code_is_above_another_or_not(
    server: Served, one: str, other: str, outcome: str
) -> None:
    query = f"system={CLINICAL}&codeA={one}&codeB={other}"
    assert named(server.http.get(f"/CodeSystem/$subsumes?{query}")) == {"outcome": outcome}
    pair = [
        {"name": name, "valueCoding": {"system": CLINICAL, "code": code}}
        for name, code in (("codingA", one), ("codingB", other))
    ]
    assert named(sent(server, "/CodeSystem/$subsumes", *pair)) == {"outcome": outcome}


def test_codes_of_a_stored_code_system_are_compared(server: Served, ids: dict[str, str]) -> None:
    place = f"/CodeSystem/{ids['CodeSystem']}/$subsumes"
    assert named(server.http.get(f"{place}?codeA=red&codeB=pink")) == {"outcome": "subsumes"}
    assert refused(server.http.get(f"{place}?codeA=red&codeB=pink&system=urn:x"))[0] == 400


# $translate


def test_a_code_is_translated_both_ways(server: Served, ids: dict[str, str]) -> None:
    red = f"system={OURS}/colours&code=red"
    for path in (
        f"/ConceptMap/{ids['ConceptMap']}/$translate?{red}",
        f"/ConceptMap/$translate?url={MAP['url']}&{red}",
    ):
        found = named(server.http.get(path))
        assert found["result"] is True
        assert found["match"] == [
            {"name": "equivalence", "valueCode": "wider"},
            {"name": "concept", "valueCoding": {"system": STATUS, "code": "final"}},
            {"name": "source", "valueUri": MAP["url"]},
        ]
    back = f"url={MAP['url']}&system={STATUS}&code=final&reverse=true"
    match = named(server.http.get(f"/ConceptMap/$translate?{back}"))["match"]
    assert match[0]["valueCode"] == "narrower"
    assert match[1]["valueCoding"]["code"] == "red"


def test_a_map_is_sent_along_or_found_by_what_it_maps(server: Served) -> None:
    along = {"name": "conceptMap", "resource": MAP}
    red, blue = (coding(f"{OURS}/colours", code) for code in ("red", "blue"))
    assert named(sent(server, "/ConceptMap/$translate", along, red))["result"] is True
    assert named(sent(server, "/ConceptMap/$translate", along, blue))["result"] is False
    male = f"system={GENDER}&code=male"
    for target in (
        "targetsystem=http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender",
        "target=http://terminology.hl7.org/ValueSet/v3-AdministrativeGender",
    ):
        found = named(server.http.get(f"/ConceptMap/$translate?{male}&{target}"))
        assert found["match"][1]["valueCoding"]["code"] == "M"


# $closure


def concepts(*codes: str) -> list[dict[str, Any]]:
    return [
        {"name": "concept", "valueCoding": {"system": CLINICAL, "code": code}} for code in codes
    ]


def table(name: str) -> dict[str, Any]:
    return {"name": "name", "valueString": name}


def told(answer: httpx.Response) -> tuple[str, set[tuple[str, str]]]:
    """The version of a closure table, and who is said to be below whom."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "ConceptMap"
    pairs = {
        (element["code"], target["code"])
        for group in body.get("group", [])
        for element in group["element"]
        for target in element["target"]
        if target["equivalence"] == "subsumes"
    }
    return body["version"], pairs


def test_a_closure_table_grows_and_tells_again(server: Served) -> None:
    name = table("patients")
    assert told(sent(server, "/$closure", name)) == ("0", set())
    assert told(sent(server, "/$closure", name, *concepts("active"))) == ("1", set())
    more = sent(server, "/$closure", name, *concepts("relapse", "inactive", "active"))
    assert told(more) == ("2", {("relapse", "active")})
    assert (
        server.http.post("/$validate", json=more.json()).json()["issue"][0]["severity"] != "error"
    )
    last = sent(server, "/$closure", name, *concepts("remission"))
    assert told(last) == ("3", {("remission", "inactive")})
    again = sent(server, "/$closure", name, {"name": "version", "valueString": "1"})
    assert told(again) == ("3", {("relapse", "active"), ("remission", "inactive")})
    assert told(sent(server, "/$closure", name)) == ("0", set())


def test_a_closure_table_is_made_first_and_has_an_end(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = table("small")
    missing = sent(server, "/$closure", name, *concepts("active"))
    assert refused(missing) == (404, "not-found", "Parameters.parameter('name')")
    sent(server, "/$closure", name)
    version = sent(server, "/$closure", name, {"name": "version", "valueString": "7"})
    assert refused(version) == (404, "not-found", "Parameters.parameter('version')")
    unknown = sent(server, "/$closure", name, *concepts("no-such-code"))
    assert refused(unknown)[0] == 404
    monkeypatch.setattr(closure, "MOST", 1)
    many = sent(server, "/$closure", name, *concepts("active", "relapse"))
    assert refused(many) == (422, "too-costly", "Parameters.parameter('concept')")


# What is said of all this


def test_the_capabilities_tell_of_it(server: Served) -> None:
    rest = server.http.get("/metadata").json()["rest"][0]
    listed = {each["type"]: each.get("operation", []) for each in rest["resource"]}
    for kind, names in (
        ("CodeSystem", {"lookup", "subsumes", "validate-code"}),
        ("ValueSet", {"expand", "validate-code"}),
        ("ConceptMap", {"translate"}),
    ):
        assert {each["name"] for each in listed[kind]} == names
    assert "closure" in {each["name"] for each in rest["operation"]}


def test_the_terminology_capabilities_are_valid_and_tell_of_every_parameter(server: Served) -> None:
    body = server.http.get("/metadata?mode=terminology").json()
    assert {"uri": "http://unitsofmeasure.org"} in body["codeSystem"]
    assert body["resourceType"] == "TerminologyCapabilities"
    assert {"uri": CLINICAL} in body["codeSystem"]
    assert [each["name"] for each in body["expansion"]["parameter"]] == list(expand.NAMES)
    assert tuple(expand.NAMES) == capabilities.EXPANSION
    found = server.http.post("/$validate", json=body).json()["issue"]
    assert [each for each in found if each["severity"] == "error"] == []
