"""What is missing of children's data: `Measure/$care-gaps`, over the wire."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import LOCAL, PARENT, SURGEON, admit
from fhir_server.context import Principal
from r4.fhirpath.narrative import is_safe
from r4.issue import FhirError
from r4.json import decode, encode
from tests.functional.test_evaluate import HOSPITAL, MEASURE, Resource, case, patient
from tests.support.deqm import violations
from tests.support.server import ROOT, Served, put, served
from tests.support.surveys import task

JSON = {"Content-Type": "application/fhir+json"}
EXAMPLES = ROOT / "outcome_engine" / "examples" / "hirschsprung-core-outcome"
GIVEN = {"measureUrl": MEASURE, "periodStart": "2012", "periodEnd": "2026", "status": "open-gap"}
DEQM = "http://hl7.org/fhir/uv/deqm"
URINARY = "Urinary incontinence at 5 years or over"
PARENT_OF = {
    "resourceType": "RelatedPerson",
    "id": "parent",
    "active": True,
    "patient": {"reference": "Patient/child"},
}
NOTE = {
    "resourceType": "Composition",
    "id": "note",
    "status": "final",
    "type": {"coding": [{"system": "http://loinc.org", "code": "11504-8"}]},
    "subject": {"reference": "Patient/child"},
    "date": "2018-04-10",
    "author": [{"display": "Fictitious surgeon"}],
    "title": "Operative note",
    "section": [{"title": "Records", "entry": [{"reference": "Procedure/pull-through"}]}],
}


def example(name: str) -> list[Resource]:
    found = decode((EXAMPLES / f"{name}.bundle.json").read_bytes())["entry"]
    return [entry["resource"] for entry in found]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Served]:
    """A registry of a fictitious child whose survey told of all but one outcome; no note is stored."""
    with served(tmp_path) as running:
        put(running, HOSPITAL, *example("due-survey-incomplete"))
        yield running


def survey(server: Served, days: int) -> Resource:
    """Return the Task of a survey whose last day is so many days from now."""
    until = (server.context.now() + timedelta(days=days)).date().isoformat()
    owner = {"reference": "RelatedPerson/parent"}
    made = task("1.survey", {"reference": "Patient/child"}, owner, until)
    made["restriction"]["period"]["start"] = "2023-01-01"
    return {**made, "id": "survey"}


def asked(server: Served, **given: Any) -> list[Resource]:
    """Return the Bundle of each child."""
    answer = server.http.get("/Measure/$care-gaps", params={**GIVEN, **given})
    assert answer.status_code == 200, answer.text
    listed = answer.json().get("parameter", [])
    return [each["resource"] for each in listed if each["name"] == "return"]


def of_type(bundle: Resource, kind: str) -> list[Resource]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [each for each in found if each["resourceType"] == kind]


def gaps(server: Served, **given: Any) -> list[tuple[str, str]]:
    """Return the kind and the name of each gap of the one child that there is."""
    (bundle,) = asked(server, **given)
    issues = of_type(bundle, "DetectedIssue")
    return [(each["code"]["coding"][-1]["code"], each["code"]["text"]) for each in issues]


def test_each_rule_that_is_due_and_not_known_is_named_and_a_missing_note(registry: Served) -> None:
    assert gaps(registry) == [("outcome-unknown", URINARY), ("note-missing", "Operative note")]
    (bundle,) = asked(registry)
    first, second = of_type(bundle, "DetectedIssue")
    assert first["detail"].startswith("Due since 20 January 2023. Missing: ")
    assert second["detail"].startswith("No operative note of the index operation of 10 April 2018 ")
    assert second["implicated"] == [{"reference": "Procedure/pull-through"}]


def test_a_child_has_a_document_with_its_report_as_deqm_has_it(registry: Served) -> None:
    (bundle,) = asked(registry)
    assert (bundle["type"], bundle["identifier"]["system"]) == ("document", "urn:ietf:rfc:3986")
    composition, report, *issues = (entry["resource"] for entry in bundle["entry"][:4])
    urls = [entry["fullUrl"] for entry in bundle["entry"][:4]]
    assert composition["type"]["coding"][0]["code"] == "96315-7"
    assert composition["subject"] == {"reference": "Patient/child"}
    (section,) = composition["section"]
    assert section["title"] == "Hirschsprung's disease: core outcome at 5 years"
    assert section["focus"] == {"reference": urls[1]}
    assert section["entry"] == [{"reference": each} for each in urls[2:]]
    assert is_safe(section["text"]["div"])
    assert (report["resourceType"], report["type"]) == ("MeasureReport", "individual")
    assert violations(report) == []
    for each in issues:
        (status,) = each["modifierExtension"]
        assert status["url"] == f"{DEQM}/StructureDefinition/deqm-gapStatus"
        assert status["valueCodeableConcept"]["coding"][0]["code"] == "open-gap"
        assert each["code"]["coding"][0]["code"] == "CAREGAP"
        assert each["evidence"] == [{"detail": [{"reference": urls[1]}]}]
    held = {f"{each['resourceType']}/{each.get('id')}" for each in map(_resource, bundle["entry"])}
    assert {each["reference"] for each in report["evaluatedResource"]} <= held


def _resource(entry: Resource) -> Resource:
    found: Resource = entry["resource"]
    return found


def test_it_is_valid_r4_but_for_the_modifier_that_deqm_defines(registry: Served) -> None:
    (bundle,) = asked(registry)
    answer = registry.http.post("/Bundle/$validate", content=encode(bundle), headers=JSON)
    issues = answer.json()["issue"]
    errors = [each for each in issues if each["severity"] in ("error", "fatal")]
    assert len(errors) == 2, issues  # one a DetectedIssue: who validates has DEQM loaded
    for each in errors:
        assert f"{DEQM}/StructureDefinition/deqm-gapStatus" in each["diagnostics"]
        assert each["extension"][0]["valueString"] == "modifier-extension-unknown"


@pytest.mark.parametrize("link", ["operation", "visit"])
def test_a_note_of_the_operation_or_of_its_visit_closes_its_gap(
    registry: Served, link: str
) -> None:
    note = NOTE
    if link == "visit":
        stay = {"resourceType": "Encounter", "id": "stay", "status": "finished"}
        stay |= {"class": {"code": "IMP"}, "subject": {"reference": "Patient/child"}}
        done = next(e for e in example("due-survey-incomplete") if e["id"] == "pull-through")
        put(registry, stay, {**done, "encounter": {"reference": "Encounter/stay"}})
        other = [{"title": "Operation", "text": NOTE_TEXT}]
        note = {**NOTE, "encounter": {"reference": "Encounter/stay"}, "section": other}
    put(registry, note)
    assert gaps(registry) == [("outcome-unknown", URINARY)]


NOTE_TEXT = {
    "status": "additional",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Fictitious.</p></div>',
}


def test_a_note_of_another_operation_or_in_draft_closes_nothing(registry: Served) -> None:
    put(registry, {**NOTE, "status": "preliminary"})
    assert ("note-missing", "Operative note") in gaps(registry)
    other = [{"title": "Operation", "text": NOTE_TEXT}]
    put(registry, {**NOTE, "section": other})
    assert ("note-missing", "Operative note") in gaps(registry)


def test_a_survey_is_overdue_after_its_last_day(registry: Served) -> None:
    put(registry, NOTE, PARENT_OF, survey(registry, 0))
    assert gaps(registry) == [("outcome-unknown", URINARY)]
    put(registry, survey(registry, -1))
    assert gaps(registry) == [("outcome-unknown", URINARY), ("survey-overdue", "Parents' survey")]
    (bundle,) = asked(registry)
    assert of_type(bundle, "DetectedIssue")[1]["implicated"] == [{"reference": "Task/survey"}]
    for status in ("completed", "cancelled"):
        put(registry, {**survey(registry, -1), "status": status})
        assert gaps(registry) == [("outcome-unknown", URINARY)]


def test_nobody_is_asked_for_the_survey_of_a_child_who_has_died(registry: Served) -> None:
    child = next(e for e in example("due-survey-incomplete") if e["resourceType"] == "Patient")
    put(registry, NOTE, PARENT_OF, survey(registry, -1), {**child, "deceasedBoolean": True})
    assert asked(registry, status=["open-gap"], subject="Patient/child") == []


def test_what_is_all_known_is_a_closed_gap(registry: Served) -> None:
    put(registry, *example("good"), NOTE)
    assert asked(registry) == []
    (bundle,) = asked(registry, status=["closed-gap", "open-gap"])
    (issue,) = of_type(bundle, "DetectedIssue")
    coding = issue["modifierExtension"][0]["valueCodeableConcept"]["coding"][0]
    assert coding == {"system": f"{DEQM}/CodeSystem/deqm-gaps-status", "code": "closed-gap"}
    assert issue["detail"] == "Nothing is missing."


def test_an_outcome_that_is_not_due_is_neither_open_nor_closed(registry: Served) -> None:
    put(registry, patient("young", birthDate="2025-03-01"), case("c", "young", "2025-03-04"))
    for status in ("open-gap", "closed-gap"):
        assert asked(registry, status=status, subject="Patient/young") == []


def test_who_is_meant_is_said_as_for_an_evaluation(registry: Served) -> None:
    other = {**HOSPITAL, "id": "other"}
    put(registry, other, patient("b", birthDate="2012-03-01"), case("c-b", "b"))
    assert len(asked(registry)) == 2
    assert len(asked(registry, subject="Patient/b")) == 1
    assert asked(registry, provider="Organization/other") == []
    assert len(asked(registry, periodEnd="2012")) == 1
    member = {"entity": {"reference": "Patient/b"}}
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": [member]}
    named = {"valueString": MEASURE}
    listed = [{"name": "measureUrl", **named}, {"name": "subjectGroup", "resource": group}]
    listed += [
        {"name": "periodStart", "valueDate": "2012"},
        {"name": "periodEnd", "valueDate": "2026"},
    ]
    listed.append({"name": "status", "valueCode": "open-gap"})
    body = {"resourceType": "Parameters", "parameter": listed}
    answer = registry.http.post("/Measure/$care-gaps", content=encode(body), headers=JSON)
    (bundle,) = [each["resource"] for each in answer.json()["parameter"]]
    assert of_type(bundle, "Composition")[0]["subject"] == {"reference": "Patient/b"}
    assert registry.http.get("/MeasureReport").json()["total"] == 0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"status": []}, "status"),
        ({"status": "prospective-gap"}, "prospective-gap"),
        ({"isDocument": "false"}, "isDocument"),
        ({"reportType": "individual"}, "reportType"),
        ({"_at": "2026-01-01T00:00:00Z"}, "_at"),
        ({"location": "Location/1"}, "location"),
        ({"practitioner": "Practitioner/1"}, "practitioner"),
        ({"measureUrl": []}, "measure"),
        ({"periodStart": []}, "periodStart"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(
    registry: Served, given: dict[str, Any], named: str
) -> None:
    answer = registry.http.get("/Measure/$care-gaps", params={**GIVEN, **given})
    assert answer.status_code == 400
    assert named in answer.json()["issue"][0]["diagnostics"]


def test_it_is_not_put_off_until_later(registry: Served) -> None:
    later = {"Prefer": "respond-async"}
    answer = registry.http.get("/Measure/$care-gaps", params=GIVEN, headers=later)
    assert answer.status_code == 400
    assert "respond-async" in answer.json()["issue"][0]["diagnostics"]


def test_a_surgeons_and_a_parents_session_may_not() -> None:
    admit(LOCAL, "$care-gaps", "Measure")
    for role in (SURGEON, PARENT):
        with pytest.raises(FhirError) as refused:
            admit(Principal("session", frozenset({role})), "$care-gaps", "Measure")
        assert refused.value.status == 403


def test_the_capability_statement_names_its_definition(registry: Served) -> None:
    resources = registry.http.get("/metadata").json()["rest"][0]["resource"]
    measure = next(each for each in resources if each["type"] == "Measure")
    found = {each["name"]: each["definition"] for each in measure["operation"]}
    assert found["care-gaps"].endswith("/OperationDefinition/Measure-care-gaps")
