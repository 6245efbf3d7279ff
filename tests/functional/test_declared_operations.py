"""What an OperationDefinition declares is what the operation takes: no parameter less, and none more."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_server.interactions.capabilities import OPERATIONS
from fhir_server.rest.routes import TABLE
from r4 import artefacts, definitions
from r4.json import Resource
from terminology.systems import CSOR
from tests.support.server import Served

OWN = artefacts.by_url("profiles", "OperationDefinition")
DEFINED = {
    (kind, name): OWN.get(url) or definitions.definition("OperationDefinition", url)
    for kind, named in OPERATIONS.items()
    for name, url in named.items()
}
"""The definition of each operation that is served; None: that of a guide of HL7."""

OF_A_GUIDE = {
    ("", "export"),
    ("Group", "export"),
    ("Patient", "export"),
    ("Subscription", "events"),
    ("Subscription", "status"),
}
PARAMETERS = [
    (*place, parameter["name"])
    for place, found in DEFINED.items()
    if found is not None
    for parameter in found["parameter"]
    if parameter["use"] == "in"
]
VALUES = {
    "boolean": True,
    "integer": 1,
    "positiveInt": 1,
    "decimal": 1,
    "date": "2020-01-01",
    "dateTime": "2020-01-01",
    "instant": "2020-01-01T00:00:00Z",
    "Coding": {"code": "x"},
    "CodeableConcept": {"text": "x"},
    "Period": {"start": "2020-01-01"},
    "Reference": {"reference": "Patient/x"},
    "uri": "http://hl7.org/fhir/sid/icd-10",
}
ONLY_IN_A_QUERY = {"everything", "lastn"}
"""These are asked with GET alone."""

CRITERIA = {"lastn": "subject=Patient/x&code=x&"}
"""What else is asked of an operation before it looks at a parameter."""

UNKNOWN = "has no parameter"


def test_every_operation_of_r4_or_of_our_own_has_its_definition() -> None:
    assert {place for place, found in DEFINED.items() if found is None} == OF_A_GUIDE
    assert len(PARAMETERS) > 90


def test_every_definition_of_our_own_is_served() -> None:
    served = {url for named in OPERATIONS.values() for url in named.values()}
    assert set(OWN) == {url for url in served if url.startswith(CSOR)}


@pytest.mark.parametrize("url", OWN)
def test_it_is_served_on_the_levels_and_types_that_it_declares(url: str) -> None:
    found = OWN[url]
    assert routed(found["code"], found.get("resource", [""])) == levels(found)
    assert DEFINED[(found.get("resource", [""])[0], found["code"])] is found


def levels(found: Resource) -> set[str]:
    return {name for name in ("system", "type", "instance") if found[name]}


def routed(code: str, types: list[str]) -> set[str]:
    """The levels on which the route table has an operation."""
    listed = {
        "system": f"/${code}",
        "type": f"/{types[0]}/${code}",
        "instance": f"/{types[0]}/{{id}}/${code}",
    }
    paths = {row.path for row in TABLE}
    return {level for level, path in listed.items() if path in paths}


@pytest.mark.parametrize("url", [url for url, found in OWN.items() if "base" in found])
def test_what_constrains_an_operation_of_hl7_takes_no_parameter_that_it_has_not(url: str) -> None:
    base = definitions.definition("OperationDefinition", OWN[url]["base"])
    assert base is not None
    theirs = {(each["name"], each["use"]): each for each in base["parameter"]}
    ours = {(each["name"], each["use"]): each for each in OWN[url]["parameter"]}
    assert set(ours) < set(theirs)
    assert levels(OWN[url]) <= levels(base)
    without = {name for name, use in set(theirs) - set(ours) if use == "in"}
    assert [name for name in without if f"`{name}`" not in OWN[url]["description"]] == []


@pytest.mark.parametrize(("kind", "name", "parameter"), PARAMETERS)
def test_a_parameter_that_is_declared_is_taken(
    server: Served, kind: str, name: str, parameter: str
) -> None:
    found = DEFINED[(kind, name)]
    assert found is not None
    declared = next(each for each in found["parameter"] if each["name"] == parameter)
    answer = asked(server, kind, name, given(declared))
    assert UNKNOWN not in answer.text
    assert answer.status_code < 500


@pytest.mark.parametrize(("kind", "name"), [p for p, found in DEFINED.items() if found])
def test_a_parameter_that_is_not_declared_is_refused_by_name(
    server: Served, kind: str, name: str
) -> None:
    answer = asked(server, kind, name, {"name": "undeclared", "valueString": "x"})
    said = answer.json()["issue"][0]
    if name in ("process-cda", "convert"):  # the body is a document, and no Parameters
        assert answer.status_code == 415
        return
    if name == "lastn":  # what is not its own is a search parameter
        assert "undeclared" in said["diagnostics"]
        return
    assert (answer.status_code, UNKNOWN in said["diagnostics"]) == (400, True)
    assert "undeclared" in said["diagnostics"]


def given(declared: Resource) -> Resource:
    kind = declared.get("type")
    if kind is None:
        return {"name": declared["name"], "part": [given(each) for each in declared["part"]]}
    if kind in definitions.resource_types() or kind == "Resource":
        concrete = "Basic" if kind == "Resource" else kind
        return {"name": declared["name"], "resource": {"resourceType": concrete}}
    key = f"value{kind[0].upper()}{kind[1:]}"
    return {"name": declared["name"], key: VALUES.get(kind, "x")}


def asked(server: Served, kind: str, name: str, parameter: Resource) -> httpx.Response:
    """Ask with this parameter alone; by GET where the operation is asked so alone."""
    path = place(server, kind, name)
    if name in ONLY_IN_A_QUERY:
        value = next(each for key, each in parameter.items() if key.startswith("value"))
        return server.http.get(f"{path}?{CRITERIA.get(name, '')}{parameter['name']}={value}")
    body: Any = {"resourceType": "Parameters", "parameter": [parameter]}
    return server.http.post(path, json=body, headers={"Prefer": "respond-async"})


def place(server: Served, kind: str, name: str) -> str:
    at = next(iter(paths(kind, name)))
    if name == "everything":
        minimal: dict[str, Any] = {"resourceType": kind, "id": "here"}
        if kind == "Encounter":
            minimal |= {"status": "planned", "class": {"code": "IMP"}}
        assert server.http.put(f"/{kind}/here", json=minimal).status_code in (200, 201)
    return at.replace("{id}", "here" if name == "everything" else "nowhere")


def paths(kind: str, name: str) -> Iterator[str]:
    known = {row.path for row in TABLE}
    for candidate in (f"/{kind}/${name}", f"/{kind}/{{id}}/${name}", f"/${name}"):
        if candidate in known:
            yield candidate
