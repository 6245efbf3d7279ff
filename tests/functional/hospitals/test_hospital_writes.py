"""What a hospital's own system writes: of its own children, for its own organisation."""

from typing import Any

import httpx
import pytest

from tests.support.hospitals import (
    NORTH,
    ODS,
    REGISTRY,
    SOUTH,
    Asking,
    Ward,
    by_number,
    patient,
    post,
    visit,
    weight,
)


@pytest.mark.parametrize(
    "told",
    [
        lambda w: weight(w.tom),
        lambda w: weight(w.mia, focus=[{"reference": w.tom}]),
        lambda w: weight(w.mia, encounter={"reference": w.tom_visit}),
        lambda w: weight(w.mia, hasMember=[{"reference": w.tom_weight}]),
    ],
)
def test_what_refers_to_anothers_child_is_refused_as_what_refers_to_nobody(
    ask: Asking, ward: Ward, told: Any
) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    lost = type(ward)(
        *(getattr(ward, name) if name.startswith("mia") else f"{place.partition('/')[0]}/{nobody}"
          for name, place in vars(ward).items())
    )  # fmt: skip
    found = ask(NORTH, "POST", "/Observation", json=told(ward))
    unknown = ask(NORTH, "POST", "/Observation", json=told(lost))
    assert found.status_code == unknown.status_code == 422
    theirs = next(e for e in (ward.tom_weight, ward.tom_visit, ward.tom) if e in found.text)
    assert found.text.replace(theirs.partition("/")[2], nobody) == unknown.text


def test_a_criterion_finds_ones_own_alone(ask: Asking, ward: Ward) -> None:
    """The same identifier is another hospital's, too: what is created is one's own."""
    number = [{"system": "urn:local", "value": "1"}]
    header = {"If-None-Exist": "identifier=urn:local|1"}
    theirs = weight(ward.tom, identifier=number)
    assert ask(SOUTH, "POST", "/Observation", json=theirs, headers=header).status_code == 201
    own = weight(ward.mia, identifier=number)
    assert ask(NORTH, "POST", "/Observation", json=own, headers=header).status_code == 201
    assert ask(NORTH, "POST", "/Observation", json=own, headers=header).status_code == 200
    reference = weight(ward.mia, hasMember=[{"reference": "Observation?identifier=urn:local|1"}])
    assert ask(NORTH, "POST", "/Observation", json=reference).status_code == 201


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("PATCH", 404), ("DELETE", 403)])
def test_nothing_is_written_over_what_is_not_seen(
    ask: Asking, ward: Ward, method: str, status: int
) -> None:
    nobody = "Observation/00000000-0000-4000-8000-000000000000"
    found, unknown = (_written(ask, method, each, ward) for each in (ward.tom_weight, nobody))
    assert found.status_code == unknown.status_code == status, found.text
    assert found.text.replace(ward.tom_weight, "x") == unknown.text.replace(nobody, "x")


def _written(ask: Asking, method: str, where: str, ward: Ward) -> httpx.Response:
    if method == "PUT":
        body = weight(ward.mia, id=where.partition("/")[2])
        return ask(NORTH, "PUT", f"/{where}", json=body)
    if method == "PATCH":
        patch = [{"op": "replace", "path": "/valueString", "value": "mine"}]
        kind = {"Content-Type": "application/json-patch+json"}
        return ask(NORTH, "PATCH", f"/{where}", json=patch, headers=kind)
    return ask(NORTH, "DELETE", f"/{where}")


def test_a_child_comes_with_a_visit_of_the_hospital_that_brings_it(ask: Asking, ward: Ward) -> None:
    url = "urn:uuid:new"
    own, other = (
        {"reference": f"Organization?identifier={ODS}|{hospital}"} for hospital in (NORTH, SOUTH)
    )
    refused = [
        ask.send(NORTH, patient("new")),
        ask.send(NORTH, patient("new"), visit(url, SOUTH)),
        ask.send(NORTH, patient("new"), visit(url, NORTH, status="entered-in-error")),
        ask.send(NORTH, patient("new", managingOrganization=other)),
    ]  # fmt: skip
    assert [each.status_code for each in refused] == [403] * 4
    assert "Encounter" in refused[0].json()["issue"][0]["diagnostics"]
    assert ask.send(NORTH, patient("new", managingOrganization=own)).status_code == 200
    assert ask.ids(NORTH, f"/{by_number('new')}")
    assert not ask.ids(SOUTH, f"/{by_number('new')}")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Organization", {"identifier": [{"system": ODS, "value": NORTH}]}),
        ("Questionnaire", {"status": "active"}),
        ("Group", {"type": "person", "actual": True}),
        ("MeasureReport", {"status": "complete"}),
        ("Subscription", {"status": "requested"}),
        ("Bundle", {"type": "collection"}),
        ("Consent", {"status": "active"}),
        ("Task", {"status": "requested", "intent": "order"}),
    ],
)
def test_what_is_everybodys_is_the_registrys_to_write(
    ask: Asking, kind: str, body: dict[str, Any]
) -> None:
    told = {"resourceType": kind, **body}
    assert ask(NORTH, "POST", f"/{kind}", json=told).status_code == 403
    assert ask.send(NORTH, post(told)).status_code == 403


def test_a_surgeon_is_added_and_not_changed(ask: Asking, ward: Ward) -> None:
    told = {"resourceType": "Practitioner", "name": [{"family": "Quill"}]}
    added = ask(NORTH, "POST", "/Practitioner", json=told)
    assert added.status_code == 201
    changed = {**added.json(), "name": [{"family": "Other"}]}
    url = f"/Practitioner/{changed['id']}"
    assert ask(NORTH, "PUT", url, json=changed).status_code == 403
    assert ask(REGISTRY, "PUT", url, json=changed).status_code == 200


def test_what_is_about_no_child_that_can_be_told_is_refused(ask: Asking, ward: Ward) -> None:
    told = {key: value for key, value in weight("").items() if key != "subject"}
    assert ask(NORTH, "POST", "/Observation", json=told).status_code == 403


def test_a_refused_write_is_not_kept_for_a_replay_that_would_see_more(
    ask: Asking, ward: Ward
) -> None:
    before = ask.made.database.read("SELECT count(*) FROM inbox")
    assert ask(NORTH, "POST", "/Observation", json=weight(ward.tom)).status_code == 422
    assert ask.made.database.read("SELECT count(*) FROM inbox") == before


def test_a_note_is_not_signed_by_storing_it(ask: Asking, ward: Ward) -> None:
    form = "https://csor.example/fhir/Questionnaire/operative-note-generic"
    note = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form,
        "subject": {"reference": ward.mia},
    }
    done = ask(NORTH, "POST", "/QuestionnaireResponse", json={**note, "status": "completed"})
    assert done.status_code == 403, done.text
    title = {"status": "final", "type": {"text": "note"}, "date": "2024-05-01", "title": "Note"}
    attested = {
        "resourceType": "Composition", **title, "subject": {"reference": ward.mia},
        "author": [{"display": "Dr Quill"}], "attester": [{"mode": "legal"}],
    }  # fmt: skip
    assert ask(NORTH, "POST", "/Composition", json=attested).status_code == 403
    draft = {key: value for key, value in attested.items() if key != "attester"}
    assert ask(NORTH, "POST", "/Composition", json=draft).status_code == 201
