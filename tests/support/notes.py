"""An operative note on a running server: a child, a surgeon, a hospital, and a draft to be signed."""

from typing import Any
from urllib.parse import quote

import httpx

from r4.json import Resource, decode, encode
from tests.support.server import ROOT, Served

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
FORM = "operative-note-hirschsprung"
JSON = {"Content-Type": "application/fhir+json"}
CHILD, OTHER_CHILD = "9990000018", "9990000026"
SURGEON, OTHER_SURGEON = "9999991", "9999983"
HOSPITAL, OTHER_HOSPITAL = "RTH", "RBS"


def registered(server: Served) -> None:
    """Make the children, surgeons and hospitals of these notes known; once or more often."""
    listed: list[tuple[str, str, str, Resource]] = []
    for number, name in ((CHILD, "Plover"), (OTHER_CHILD, "Dunlin")):
        named = [{"family": f"Testchild-{name}", "given": ["Fictitious"]}]
        listed.append(("Patient", NHS, number, {"name": named, "birthDate": "2026-03-01"}))
    for number, name in ((SURGEON, "Testsurgeon"), (OTHER_SURGEON, "Otherhand")):
        listed.append(("Practitioner", GMC, number, {"name": [{"family": name}]}))
    for number, name in ((HOSPITAL, "Fictitious Oxford"), (OTHER_HOSPITAL, "Fictitious Alder")):
        listed.append(("Organization", ODS, number, {"name": name}))
    for kind, system, value, more in listed:
        body = {"resourceType": kind, "identifier": [{"system": system, "value": value}], **more}
        answer = server.http.put(f"/{kind}?identifier={quote(f'{system}|{value}')}", json=body)
        assert answer.status_code in (200, 201), answer.text


def place(server: Served, kind: str, system: str, value: str) -> str:
    """Return the literal reference of who has a number."""
    [entry] = server.http.get(f"/{kind}?identifier={quote(f'{system}|{value}')}").json()["entry"]
    return f"{kind}/{entry['resource']['id']}"


def draft(server: Served, case: str = "soave-laparoscopic", **more: Any) -> Resource:
    """Return a note that is filled in: about the child, by the surgeon; stored nowhere yet."""
    file = ROOT / "questionnaires" / "examples" / FORM / f"{case}.response.json"
    response: Resource = decode(file.read_bytes())
    return {
        **response,
        "status": "in-progress",
        "subject": {"reference": place(server, "Patient", NHS, CHILD)},
        "author": {"reference": place(server, "Practitioner", GMC, SURGEON)},
        **more,
    }


def stored(server: Served, response: Resource) -> Resource:
    """Store a draft; returns it as it is stored."""
    answer = server.http.post("/QuestionnaireResponse", content=encode(response), headers=JSON)
    assert answer.status_code == 201, answer.text
    return decode(answer.content)


def asked(
    server: Served, note: Resource, operation: str, *, if_match: str | None = None, **given: Any
) -> httpx.Response:
    """Ask an operation of a stored note, at its version unless another is said."""
    parameters = [{"name": name, **_value(value)} for name, value in given.items()]
    headers = {**JSON, "If-Match": if_match or f'W/"{note["meta"]["versionId"]}"'}
    return server.http.post(
        f"/QuestionnaireResponse/{note['id']}/{operation}",
        content=encode({"resourceType": "Parameters", "parameter": parameters}),
        headers={name: value for name, value in headers.items() if value != "none"},
    )


def _value(value: Any) -> Resource:
    if isinstance(value, dict) and "resourceType" in value:
        return {"resource": value}
    return {"valueReference": value} if isinstance(value, dict) else {"valueString": value}


def ods(value: str) -> Resource:
    """Return the conditional Reference to a hospital."""
    return {"reference": f"Organization?identifier={ODS}|{value}"}


def gmc(value: str) -> Resource:
    """Return the conditional Reference to a surgeon."""
    return {"reference": f"Practitioner?identifier={GMC}|{value}"}


def sign(server: Served, note: Resource, **more: Any) -> httpx.Response:
    """Sign a stored note for the hospital."""
    return asked(server, note, "$sign", **{"hospital": ods(HOSPITAL), **more})


def of(server: Served, answer: httpx.Response, kind: str) -> list[Resource]:
    """Return the resources of a type that a transaction-response says are stored, as they are now."""
    assert answer.status_code == 200, answer.text
    places = [entry["response"]["location"] for entry in answer.json()["entry"]]
    found = [each.partition("/_history")[0] for each in places if each.startswith(f"{kind}/")]
    return [decode(server.http.get(f"/{each}").content) for each in found]


def read(server: Served, place: str) -> Resource:
    """Read a resource, its decimals as they are written."""
    answer = server.http.get(f"/{place}")
    assert answer.status_code == 200, answer.text
    return decode(answer.content)


def refused(answer: httpx.Response, status: int) -> Resource:
    """Return the first issue of a refusal."""
    assert answer.status_code == status, answer.text
    first: Resource = answer.json()["issue"][0]
    return first
