"""The whole journey of a note by the API alone: what an EPR with a renderer of its own does."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_server.access.keys import verify
from r4.json import Resource, decode, encode
from tests.questionnaires.support import answered, find
from tests.support import notes
from tests.support.server import ROOT, Served, served

FORM = f"https://csor.example/fhir/Questionnaire/{notes.FORM}"
NUMBER = {"system": "https://csor.example/fhir/sid/note", "value": "journey-1"}


class Epr:
    """A client that knows FHIR and nothing of this server."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, place: str) -> Resource:
        return self.done(self.http.get(f"/{place}"))

    def post(self, place: str, body: Resource, **headers: str) -> Resource:
        return self.done(self.sent("POST", place, body, **headers))

    def sent(self, method: str, place: str, body: Resource, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {**notes.JSON, **named}
        return self.http.request(method, f"/{place}", content=encode(body), headers=headers)

    @staticmethod
    def done(answer: httpx.Response) -> Resource:
        assert answer.is_success, answer.text
        found: Resource = decode(answer.content)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("journey")) as running:
        notes.registered(running)
        yield running


def parameters(**given: Any) -> Resource:
    listed = [{"name": name, **value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def filled_in(draft: Resource, form: Resource) -> Resource:
    """Answer as a surgeon does what is left: as the example does, what is filled in kept."""
    usual = decode(
        (ROOT / f"questionnaires/examples/{notes.FORM}/typical.response.json").read_bytes()
    )
    items = []
    for group in form["item"]:
        said, known = find(usual, group["linkId"]), find(draft, group["linkId"])
        have = {each["linkId"]: each for each in known.get("item", ())}
        asked = {each["linkId"]: each for each in said.get("item", ())}
        if merged := [asked.get(name) or have[name] for name in {**have, **asked}]:
            order = [each["linkId"] for each in group["item"]]
            merged.sort(key=lambda each: order.index(each["linkId"]))
            items.append({"linkId": group["linkId"], "item": merged})
    return {**draft, "item": items}


def test_from_the_empty_form_to_the_corrected_document(server: Served) -> None:
    epr = Epr(server.http)
    child = notes.place(server, "Patient", notes.NHS, notes.CHILD)
    surgeon = notes.place(server, "Practitioner", notes.GMC, notes.SURGEON)

    [entry] = epr.get(f"Questionnaire?url={FORM}")["entry"]
    form = entry["resource"]
    populated = epr.post(
        "Questionnaire/$populate",
        parameters(
            questionnaire={"valueUri": FORM},
            subject={"valueReference": {"reference": child}},
        ),
    )
    draft = find_parameter(populated, "response")
    assert draft["status"] == "in-progress"

    draft |= {"identifier": NUMBER, "author": {"reference": surgeon}}
    opened = epr.post("QuestionnaireResponse", draft)
    place = f"QuestionnaireResponse/{opened['id']}"
    said = epr.post(f"{place}/$validate", opened)
    assert all(each["severity"] != "error" for each in said["issue"]), "a draft may have gaps"

    full = filled_in(opened, form)
    saved = epr.done(epr.sent("PUT", place, full, If_Match='W/"1"'))
    stale = epr.sent("PUT", place, opened, If_Match='W/"1"')
    assert stale.status_code == 412
    assert epr.get(place) == saved, "and nothing is lost"

    hospital = {"valueReference": notes.ods(notes.HOSPITAL)}
    too_old = epr.sent("POST", f"{place}/$sign", parameters(hospital=hospital), If_Match='W/"1"')
    assert too_old.status_code == 412
    signing = epr.post(f"{place}/$sign", parameters(hospital=hospital), If_Match='W/"2"')
    stored = locations(signing)
    signed = epr.get(place)
    assert signed["status"] == "completed"

    cases = epr.get(f"EpisodeOfCare?patient={child}")
    assert cases["total"] == 1
    document = epr.get(f"{stored['Composition']}/$document")
    verify(
        document, decode(server.http.get(server.base_url[:-5] + "/.well-known/jwks.json").content)
    )

    right = answered(signed, "blood-loss-ml", {"valueInteger": 35})
    changed = epr.sent("PUT", place, right, If_Match='W/"3"')
    assert changed.status_code == 409, "what is signed is corrected, not changed"
    correcting = epr.post(
        f"{place}/$correct",
        parameters(
            response={"resource": right},
            reason={"valueString": "The suction bottle was read again."},
        ),
        If_Match='W/"3"',
    )
    now = locations(correcting)
    assert now["Procedure"] == stored["Procedure"]
    assert epr.get(place)["status"] == "amended"
    corrected = epr.get(f"{now['Composition']}/$document")
    verify(corrected, server.context.jwks())
    assert epr.get(f"{stored['Composition']}/$document") == document
    assert epr.get(f"EpisodeOfCare?patient={child}")["total"] == 1


def find_parameter(said: Resource, name: str) -> Resource:
    [found] = [each["resource"] for each in said["parameter"] if each["name"] == name]
    return dict(found)


def locations(answer: Resource) -> dict[str, str]:
    """Map each type to where its last resource is stored, without the version."""
    places = [each["response"]["location"].partition("/_history")[0] for each in answer["entry"]]
    return {place.partition("/")[0]: place for place in places}
