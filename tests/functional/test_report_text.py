"""What a surgeon reads who opens a child's report: its narrative, over the wire."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fhir_server.app import clock
from fhir_server.commands.parameters import illustrate
from r4.fhirpath.narrative import is_safe
from tests.functional.test_evaluate import HOSPITAL, MEASURE, PERIOD, Resource, case, patient, stoma
from tests.outcome_engine.signing import TSS
from tests.outcome_engine.test_treatment_success_children import child
from tests.support.deqm import violations
from tests.support.returned import reports
from tests.support.server import Served, put, served

XHTML = "{http://www.w3.org/1999/xhtml}"
SAID = "<script>alert('1')</script> & Patient/b"
STAY = {
    "resourceType": "Encounter",
    "id": "stay",
    "status": "finished",
    "class": {"code": "IMP"},
    "subject": {"reference": "Patient/a"},
    "period": {"start": "2012-04-12T08:00:00+01:00", "end": "2012-04-14"},
    "serviceProvider": {"reference": "Organization/another"},
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Served]:
    """A registry of one fictitious child with a bad outcome, who was cared for elsewhere, too."""
    with served(tmp_path) as running:
        there = {**HOSPITAL, "id": "another"}
        put(running, HOSPITAL, there, patient("a"), case("c-a", "a"), stoma("o-a", "a"), STAY)
        yield running


def report(server: Served, **given: str) -> Resource:
    asked = {"measureUrl": MEASURE, **PERIOD, "subject": "Patient/a", **given}
    (found,) = reports(server.http.get("/Measure/$evaluate", params=asked))
    assert violations(found) == []
    return found


def opened(text: Any) -> ElementTree.Element:
    assert text["status"] == "generated"
    assert is_safe(text["div"])
    return ElementTree.fromstring(text["div"])  # noqa: S314


def read(text: Any) -> list[str]:
    """Return the paragraphs, without their links."""
    return ["".join(each.itertext()) for each in opened(text).iter(f"{XHTML}p")]


def links(text: Any) -> set[str]:
    return {each.attrib["href"] for each in opened(text).iter(f"{XHTML}a")}


def rows(text: Any) -> dict[str, list[str]]:
    found = [
        ["".join(cell.itertext()) for cell in each] for each in opened(text).iter(f"{XHTML}tr")
    ]
    return {rule: rest for rule, *rest in found}


def test_a_bad_outcome_is_told_with_its_dates_and_where_care_was(registry: Served) -> None:
    text = report(registry)["text"]
    headline, statement, shown, rule, *others, elsewhere = read(text)
    assert headline.startswith("Patient/a, born 1 March 2012: outcome bad as of ")
    assert statement.startswith("Permanent stoma at 5 years or over: ")
    assert statement.endswith("(1 May 2018).")
    assert shown.startswith("Observation/o-a: ")
    assert shown.endswith(": yes, 1 May 2018 (at 6 years of age).")
    assert rule.startswith("Rule: Permanent stoma at 5 years or over. Source: ")
    assert others[0] == "No other adverse outcome is on record."
    assert elsewhere == (
        "Care at another hospital, attributed to Organization/hospital: "
        "Encounter/stay at Organization/another, 12 April 2012."
    )
    found = rows(text)["Permanent stoma at 5 years or over"]
    assert found == ["met", "1 May 2018", "Observation/o-a"]
    assert rows(text)["Urinary incontinence at 5 years or over"] == ["not known", "", ""]


def test_its_links_lead_to_what_it_names(registry: Served) -> None:
    found = links(report(registry)["text"])
    assert found == {
        "Patient/a",
        "Observation/o-a",
        "Encounter/stay",
        "Organization/another",
        "Organization/hospital",
    }
    assert {registry.http.get(f"/{each}").status_code for each in found} == {200}


def test_a_stay_that_did_not_take_place_is_not_told(registry: Served) -> None:
    put(registry, {**STAY, "status": "cancelled"})
    assert not [each for each in read(report(registry)["text"]) if each.startswith("Care at")]


def test_what_a_record_says_is_escaped_and_makes_no_link(registry: Served) -> None:
    observed = stoma("o-a", "a")
    put(registry, patient("b"), {**observed, "code": {**observed["code"], "text": SAID}})
    text = report(registry)["text"]
    assert "<script" not in text["div"]
    assert any(SAID in each for each in read(text))
    assert "Patient/b" not in links(text)


def test_it_is_stored_with_the_report_valid_and_in_xml(registry: Served) -> None:
    asked = {"measureUrl": MEASURE, **PERIOD, "subject": "Patient/a"}
    (made,) = reports(registry.http.post("/Measure/$evaluate", params=asked))
    place = f"/MeasureReport/{made['id']}"
    assert registry.http.get(place).json()["text"] == made["text"]
    answer = registry.http.get(f"{place}/$validate").json()["issue"]
    assert not [each for each in answer if each["severity"] in ("error", "fatal")], answer
    xml = registry.http.get(place, params={"_format": "xml"}).content
    (div,) = ElementTree.fromstring(xml).iter(f"{XHTML}div")  # noqa: S314
    assert "".join(div.itertext()) == "".join(opened(made["text"]).itertext())


def test_a_report_of_the_past_has_the_text_of_then(registry: Served) -> None:
    then = report(registry)
    parts = next(e for e in then["extension"] if e["url"].endswith("/report-provenance"))
    moment = next(e["valueInstant"] for e in parts["extension"] if e["url"] == "snapshot")
    put(registry, {**stoma("o-a", "a"), "valueBoolean": False})
    now = report(registry)["text"]
    assert "outcome not yet known" in read(now)[0]
    assert report(registry, _at=moment)["text"] == then["text"]


def test_what_is_missing_is_told_of_an_outcome_that_is_not_known(registry: Served) -> None:
    put(registry, {**stoma("o-a", "a"), "status": "entered-in-error"})
    text = read(report(registry)["text"])
    assert text[1].startswith("Due")
    assert "Missing: " in text[1]
    assert any(each.startswith("Not known: ") for each in text)


def test_reports_of_a_list_have_it_and_reports_of_many_do_not(registry: Served) -> None:
    asked = {"measureUrl": MEASURE, **PERIOD, "reportType": "subject-list"}
    answer = registry.http.get("/Measure/$evaluate", params=asked)
    kinds = {each["type"]: "text" in each for each in reports(answer)}
    assert kinds == {"subject-list": False, "individual": True}


def test_of_a_score_it_tells_the_cut_and_how_sure_each_class_is(tmp_path: Path) -> None:
    parameters, signatories = illustrate(tmp_path, clock().date())
    settings = {"parameters": parameters, "signatories": signatories}
    with served(tmp_path, **settings) as server:  # type: ignore[arg-type]
        put(server, HOSPITAL, *child("amber"))
        asked = {"measureUrl": TSS, "periodStart": "2018", "periodEnd": "2018"}
        given = {**asked, "reportType": "individual"}
        (made,) = reports(server.http.get("/Measure/$evaluate", params=given))
    told = read(made["text"])
    assert "Treatment Success Score 0.640000: good" in told[1]
    assert "the cut of" in told[1]
    assert "Of 1000 draws of the preferences" in told[1]
    assert "Illustrative only" in told[1]
    assert told[-1] == "Shown by:"
    assert {"Procedure/reopening", "Observation/episode-1"} <= links(made["text"])
