"""One child, end to end: hospital messages, a signed note, a parent's survey, an outcome, a report."""

from typing import Any

import hl7.client
import pytest

from fhir_server.commands.inbox import replay
from r4.json import decode, encode
from tests.support.returned import returned
from tests.support.server import ROOT, Served

BASE = "https://csor.example/fhir"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
MEASURE = f"{BASE}/Measure/hirschsprung-core-outcome"
PERIOD = {"periodStart": "2018-01-01", "periodEnd": "2020-12-31"}
JSON = {"Content-Type": "application/fhir+json"}
CHILD = f"Patient?identifier={NHS}|9990000018"
HOSPITAL = f"Organization?identifier={ODS}|RTH"
SURGEON = f"Practitioner?identifier={GMC}|9999991"


def example(form: str, case: str) -> dict[str, Any]:
    folder = ROOT / "questionnaires" / "examples" / form
    return decode((folder / f"{case}.response.json").read_bytes())


def note(identifier: str, **more: Any) -> dict[str, Any]:
    response = example("operative-note-hirschsprung", "soave-laparoscopic")
    number = {"system": "https://csor.example/fhir/sid/RTH/note", "value": identifier}
    return {
        **response,
        "status": "completed",
        "identifier": number,
        "subject": {"reference": CHILD},
        **more,
    }


def survey(case: str, **more: Any) -> dict[str, Any]:
    response = example("parent-survey-hirschsprung-5-years", case)
    return {
        **response,
        "author": {"reference": CHILD},
        "status": "completed",
        "subject": {"reference": CHILD},
        **more,
    }


def sign(
    server: Served, response: dict[str, Any], surgeon: str = SURGEON, hospital: str = HOSPITAL
) -> Any:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": response},
            {"name": "signer", "valueReference": {"reference": surgeon}},
            {"name": "hospital", "valueReference": {"reference": hospital}},
        ],
    }
    return server.http.post("/QuestionnaireResponse/$sign", content=encode(body), headers=JSON)


def search(server: Served, query: str) -> list[dict[str, Any]]:
    answer = server.http.get(f"/{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


@pytest.fixture(scope="module")
def child(server: Served) -> str:
    """A child known by an admission, at a known hospital with a known surgeon; returns its id."""
    for query, body in (
        (HOSPITAL, {"resourceType": "Organization", "name": "Fictitious Oxford",
                    "identifier": [{"system": ODS, "value": "RTH"}]}),
        (SURGEON, {"resourceType": "Practitioner", "name": [{"family": "Testsurgeon"}],
                   "identifier": [{"system": GMC, "value": "9999991"}]}),
    ):  # fmt: skip
        assert server.http.put(f"/{query}", json=body).status_code == 201
    message = "\r".join(
        (
            "MSH|^~\\&|PAS|RTH|CSOR|CSOR|201803041015||ADT^A01^ADT_A01|C-1|P|2.4",
            "EVN|A01|201803041015",
            "PID|1||9990000018^^^NHS~55001^^^RTH^MR||Testchild-Plover^Fictitious||20180301|1",
            "PV1|1|I|RTH^NICU^1||||||||||||||||55001-1^^^VISITID|||||||||||||||||||||||||201803041000",
            "DG1|1||Q43.1^Hirschsprung's disease^I10||20180304|A",
            "",
        )
    )
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        assert b"MSA|AA|C-1" in client.send_message(message)
    return str(search(server, CHILD)[0]["id"])


class TestNote:
    def test_extract_shows_what_a_note_says_and_stores_nothing(
        self, server: Served, child: str
    ) -> None:
        before = server.http.get("/Procedure?_summary=count").json()["total"]
        answer = server.http.post(
            "/QuestionnaireResponse/$extract", content=encode(note("x")), headers=JSON
        )
        assert answer.status_code == 200, answer.text
        kinds = {entry["resource"]["resourceType"] for entry in answer.json()["entry"]}
        assert {"Procedure", "EpisodeOfCare"} <= kinds
        assert server.http.get("/Procedure?_summary=count").json()["total"] == before

    def test_signing_stores_answers_procedure_document_provenance_and_case_together(
        self, server: Served, child: str
    ) -> None:
        answer = sign(server, note("N-1"))
        assert answer.status_code == 200, answer.text
        places = [entry["response"]["location"] for entry in answer.json()["entry"]]
        kinds = [place.split("/")[0] for place in places]
        assert kinds[0] == "QuestionnaireResponse"
        assert {"Procedure", "Composition", "Bundle", "Provenance", "EpisodeOfCare"} <= set(kinds)
        stored = {
            kind: server.http.get(f"/{place}").json()
            for kind, place in zip(kinds, places, strict=True)
        }
        assert stored["QuestionnaireResponse"]["status"] == "completed"
        assert stored["Composition"]["attester"][0]["mode"] == "legal"
        document = stored["Bundle"]
        assert document["type"] == "document"
        assert document["entry"][0]["resource"]["resourceType"] == "Composition"

    def test_the_note_and_the_admission_speak_of_one_case(self, server: Served, child: str) -> None:
        (case,) = search(server, f"EpisodeOfCare?patient={child}")
        assert case["type"][0]["coding"][0]["code"] == "hirschsprung"

    def test_the_same_note_again_is_answered_and_stored_once(
        self, server: Served, child: str
    ) -> None:
        first, again = sign(server, note("N-2")), sign(server, note("N-2"))
        assert (first.status_code, again.status_code) == (200, 200)
        place = first.json()["entry"][0]["response"]["location"]
        assert again.json()["entry"][0]["response"]["location"] == place
        stored = search(server, "QuestionnaireResponse?identifier=N-2")
        assert len(stored) == 1

    def test_a_note_for_an_unknown_child_is_refused_kept_and_replayed_once_known(
        self, server: Served, child: str
    ) -> None:
        stranger = decode(encode(note("N-3")).replace(b"9990000018", b"9990000026"))
        answer = sign(server, stranger)
        assert answer.status_code == 422
        assert "9990000026" in answer.json()["issue"][0]["diagnostics"]
        assert search(server, "QuestionnaireResponse?identifier=N-3") == []
        body = {"resourceType": "Patient", "identifier": [{"system": NHS, "value": "9990000026"}]}
        server.http.post("/Patient", json=body)
        replay(server.context.settings, [])
        assert len(search(server, "QuestionnaireResponse?identifier=N-3")) == 1

    def test_only_a_practitioner_who_is_known_signs_for_an_organization_that_is_known(
        self, server: Served, child: str
    ) -> None:
        nobody = f"Practitioner?identifier={GMC}|1111111"
        elsewhere = "https://other.example/fhir/Practitioner/x"
        for surgeon in (nobody, elsewhere, "Practitioner/nobody", CHILD, HOSPITAL, "urn:x", ""):
            answer = sign(server, note("N-4"), surgeon=surgeon)
            assert answer.status_code == 422
            assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter('signer')"]
        for hospital in (f"Organization?identifier={ODS}|XXX", SURGEON, "Organization/nobody"):
            answer = sign(server, note("N-4"), hospital=hospital)
            assert answer.status_code == 422
            assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter('hospital')"]
        assert search(server, "QuestionnaireResponse?identifier=N-4") == []

    def test_the_same_identifier_for_another_child_surgeon_or_answer_is_a_conflict(
        self, server: Served, child: str
    ) -> None:
        first = note("N-7|a,b")
        other_child = {"resourceType": "Patient", "id": "another-child"}
        other_surgeon = {"resourceType": "Practitioner", "id": "another-surgeon"}
        for body in (other_child, other_surgeon):
            place = f"/{body['resourceType']}/{body['id']}"
            assert server.http.put(place, json=body).status_code == 201
        assert sign(server, first).status_code == 200
        others = [
            sign(server, {**first, "subject": {"reference": "Patient/another-child"}}),
            sign(server, first, surgeon="Practitioner/another-surgeon"),
        ]
        assert [answer.status_code for answer in others] == [409, 409], others[0].text
        literal = {**first, "subject": {"reference": f"Patient/{child}"}}
        assert sign(server, literal).status_code == 200, "the same child, by another reference"
        assert len(search(server, "QuestionnaireResponse?identifier=N-7%5C%7Ca%5C%2Cb")) == 1

    def test_a_missing_answer_is_named(self, server: Served, child: str) -> None:
        response = note("N-5")
        answer = sign(server, {**response, "item": response["item"][1:]})
        assert answer.status_code == 422
        assert all(issue["expression"] for issue in answer.json()["issue"])

    def test_a_form_that_is_not_the_registrys_is_refused(self, server: Served, child: str) -> None:
        answer = sign(server, note("N-6", questionnaire="https://other.example/Questionnaire/x"))
        assert answer.status_code == 422
        assert "operative-note-hirschsprung" in answer.json()["issue"][0]["diagnostics"]


class TestOutcome:
    def _report(self, server: Served, child: str) -> dict[str, Any]:
        asked = {
            "measureUrl": MEASURE,
            "reportType": "individual",
            "subject": f"Patient/{child}",
            **PERIOD,
        }
        answer = server.http.post("/Measure/$evaluate", params=asked)
        assert answer.status_code == 200, answer.text
        return returned(answer)[0]

    @staticmethod
    def _result(report: dict[str, Any]) -> dict[str, Any]:
        result = next(e for e in report["extension"] if e["url"].endswith("/outcome-result"))
        return {
            part["url"]: next(value for key, value in part.items() if key != "url")
            for part in result["extension"]
        }

    def test_without_the_survey_the_outcome_is_not_yet_known_and_says_what_is_missing(
        self, server: Served, child: str
    ) -> None:
        result = self._result(self._report(server, child))
        assert result["class"]["code"] == "not-yet-known"
        assert "Missing" in result["statement"]

    def test_a_parents_survey_decides_and_the_report_names_rule_and_resources(
        self, server: Served, child: str
    ) -> None:
        answer = server.http.post(
            "/QuestionnaireResponse/$process-response",
            content=encode(survey("soiling-every-day")),
            headers=JSON,
        )
        assert answer.status_code == 200, answer.text
        report = self._report(server, child)
        result = self._result(report)
        assert result["class"]["code"] == "bad"
        assert result["rule"] == "faecal-incontinence"
        evidence = result["evidence"]["reference"]
        observation = server.http.get(f"/{evidence}").json()
        assert observation["code"]["coding"][0]["code"] == "faecal-incontinence"
        response = observation["derivedFrom"][0]["reference"]
        assert server.http.get(f"/{response}").json()["status"] == "completed"
        assert evidence in {each["reference"] for each in report["evaluatedResource"]}
        stored = search(server, f"MeasureReport?patient={child}")
        assert [found["id"] for found in stored] == [report["id"]]

    def test_an_unfinished_survey_is_refused(self, server: Served, child: str) -> None:
        answer = server.http.post(
            "/QuestionnaireResponse/$process-response",
            content=encode(survey("stoma", status="in-progress")),
            headers=JSON,
        )
        assert answer.status_code == 422

    def test_there_is_a_summary_for_the_nation_and_for_each_hospital(
        self, server: Served, child: str
    ) -> None:
        answer = server.http.post("/Measure/$evaluate", params={"measureUrl": MEASURE, **PERIOD})
        reports = returned(answer)
        assert [report["type"] for report in reports] == ["summary", "summary"]
        national, hospital = (
            {p["id"]: p for p in report["group"][0]["population"]} for report in reports
        )
        assert national["denominator"]["count"] == 1
        assert "count" not in hospital["denominator"], "one child is masked in a hospital's report"
        total = server.http.get("/MeasureReport?_summary=count").json()["total"]
        assert total == 3

    def test_evaluating_again_replaces_the_reports(self, server: Served, child: str) -> None:
        for _ in range(2):
            server.http.post("/Measure/$evaluate", params={"measureUrl": MEASURE, **PERIOD})
        assert server.http.get("/MeasureReport?_summary=count").json()["total"] == 3

    def test_a_get_stores_nothing(self, server: Served, child: str) -> None:
        asked = {"measureUrl": MEASURE, "periodStart": "2018-03-01", "periodEnd": "2018-03-31"}
        assert server.http.get("/Measure/$evaluate", params=asked).status_code == 200
        assert server.http.get("/MeasureReport?_summary=count").json()["total"] == 3

    def test_r4s_evaluate_measure_returns_one_report(self, server: Served, child: str) -> None:
        answer = server.http.get(
            "/Measure/hirschsprung-core-outcome/$evaluate-measure",
            params={"subject": f"Patient/{child}", **PERIOD},
        )
        assert answer.json()["resourceType"] == "MeasureReport"
        assert answer.json()["subject"]["reference"] == f"Patient/{child}"

    def test_the_treatment_success_score_is_refused_naming_what_is_missing(
        self, server: Served, child: str
    ) -> None:
        measure = f"{BASE}/Measure/treatment-success-score"
        answer = server.http.get("/Measure/$evaluate", params={"measureUrl": measure, **PERIOD})
        assert answer.status_code == 422
        said = " ".join(issue["diagnostics"] for issue in answer.json()["issue"])
        for missing in (
            "treatment-success-score.json",
            "stakeholder-group",
            "attributes",
            "anchors",
        ):
            assert missing in said

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"measureUrl": f"{BASE}/Measure/none"}, 404),
            ({"periodStart": "2018-13"}, 400),
            ({"reportType": "data-collection"}, 400),
            ({"subject": "Patient/nobody"}, 404),
            ({"unknown": "x"}, 400),
        ],
    )
    def test_what_cannot_be_evaluated_is_refused(
        self, server: Served, child: str, change: dict[str, str], status: int
    ) -> None:
        asked = {"measureUrl": MEASURE, **PERIOD, **change}
        assert server.http.get("/Measure/$evaluate", params=asked).status_code == status
