"""Every role, every interaction and operation of the CapabilityStatement, every side: nothing crosses.

What a role asks of the other side's child is answered as if that child had never been: with the status,
the headers and the words of an answer about an id that nobody has. What it may not do at all is refused
with the same words whoever it is about.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from r4.json import Resource
from tests.support.everybody import ROLES, Door
from tests.support.sides import SIDES, UNKNOWN, is_sealed, key, seal

CONFINED = [role for role in ROLES if role != "registry"]
FIRST = "hospital"
"""Whose whole matrix is asked in every run of the tests; the others' take as long, and are asked in all."""
OTHERS = [role for role in CONFINED if role != FIRST]
_PROJECTED = {"AuditEvent"}
"""Types that are never read from where resources are stored."""
_TOLD_OF_ALL = {("auditor", "AuditEvent")}
"""Who is told whether a child is known, and by which type: whoever audits is."""
_REFUSED = {401, 403}
_UNSTABLE = re.compile(r'"(date|lastUpdated|timestamp)":\s*"[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}')
_SIDED = re.compile("|".join((*SIDES, UNKNOWN)))
_HEADERS = ("content-type", "location", "etag", "last-modified", "www-authenticate", "allow")
Cell = tuple[str, str, Any]
"""A request: its method, its URL below the base, its body."""


def interactions(door: Door, kind: str, side: str) -> Iterator[Cell]:
    """Yield the requests of each interaction that a type has, about a side's resource."""
    one = f"/{kind}/{key(side, kind)}"
    resource = door.stored[kind][side]
    patch = [{"op": "add", "path": "/language", "value": "en"}]
    cells: dict[str, list[Cell]] = {
        "read": [("GET", one, None), ("HEAD", one, None)],
        "vread": [("GET", f"{one}/_history/1", None), ("GET", f"{one}/_history/9", None)],
        "update": [("PUT", one, resource), ("PUT", f"/{kind}?_id={key(side, kind)}", resource)],
        "patch": [("PATCH", one, patch), ("PATCH", f"/{kind}?_id={key(side, kind)}", patch)],
        "delete": [("DELETE", one, None), ("DELETE", f"/{kind}?_id={key(side, kind)}", None)],
        "history-instance": [("GET", f"{one}/_history", None)],
        "history-type": [("GET", f"/{kind}/_history?_count=100", None)],
        "create": [("POST", f"/{kind}", {k: v for k, v in resource.items() if k != "id"})],
        "search-type": list(searches(door, kind, side)),
    }
    (stated,) = (each for each in door.statement["rest"][0]["resource"] if each["type"] == kind)
    for interaction in stated["interaction"]:
        yield from cells[interaction["code"]]


def searches(door: Door, kind: str, side: str) -> Iterator[Cell]:
    """Yield a search by each parameter of a type, by what a side's resource could be found by."""
    (stated,) = (each for each in door.statement["rest"][0]["resource"] if each["type"] == kind)
    yield "GET", f"/{kind}?_id={key(side, kind)}", None
    yield "GET", f"/{kind}?_tag={seal(side)}&_total=accurate", None
    yield "POST", f"/{kind}/_search?_tag={seal(side)}&_summary=count", None
    yield "GET", f"/Patient/{key(side, 'Patient')}/{kind}", None
    for parameter in stated["searchParam"]:
        name = parameter["name"]
        yield "GET", f"/{kind}?{name}:missing=false&_count=50&_total=accurate", None
        if parameter["type"] == "reference":
            yield "GET", f"/{kind}?{name}={_target(door, kind, name, side)}", None
    for included in ("_include", "_revinclude"):
        yield "GET", f"/{kind}?{included}=*&_count=50", None


def _target(door: Door, kind: str, name: str, side: str) -> str:
    """Return a reference that a side's resource of a type may have there."""
    for other in ("Patient", "Encounter", "Practitioner", "Organization"):
        if f"{kind}:{name}" in _reverse(door, other):
            return f"{other}/{key(side, other)}"
    return f"Basic/{key(side, 'Basic')}"


def _reverse(door: Door, kind: str) -> list[str]:
    (stated,) = (each for each in door.statement["rest"][0]["resource"] if each["type"] == kind)
    found: list[str] = stated.get("searchRevInclude", [])
    return found


def operations(door: Door, side: str) -> Iterator[Cell]:
    """Yield each operation of the statement, at every level, about a side's child and resources."""
    rest = door.statement["rest"][0]
    for operation in rest.get("operation", ()):
        yield "POST", f"/${operation['name']}", _parameters(door, operation, side)
        yield "GET", f"/${operation['name']}", None
    for stated in rest["resource"]:
        kind = stated["type"]
        for operation in stated.get("operation", ()):
            parameters = _parameters(door, operation, side)
            asked = f"subject=Patient/{key(side, 'Patient')}&patient=Patient/{key(side, 'Patient')}"
            places = [f"/{kind}"]
            if kind in door.stored and is_sealed(door.stored[kind][side]):
                places.append(f"/{kind}/{key(side, kind)}")
            for place in places:
                yield "POST", f"{place}/${operation['name']}", parameters
                yield "GET", f"{place}/${operation['name']}", None
                yield "GET", f"{place}/${operation['name']}?{asked}", None


def _parameters(door: Door, operation: Resource, side: str) -> Resource:
    """Return what an operation's definition takes, as far as it can be about somebody."""
    defined = door.made.knowledge.catalogue.find("OperationDefinition", operation["definition"])
    told = []
    for parameter in (defined or {}).get("parameter", ()):
        name, type_ = parameter["name"], parameter.get("type")
        if parameter["use"] != "in":
            continue
        if type_ == "Reference":
            told.append({"name": name, "valueReference": {"reference": _patient(side)}})
        elif type_ in door.stored:
            told.append({"name": name, "resource": door.stored[type_][side]})
        elif name in ("subject", "patient"):
            told.append({"name": name, "valueString": _patient(side)})
    return {"resourceType": "Parameters", "parameter": told}


def _patient(side: str) -> str:
    return f"Patient/{key(side, 'Patient')}"


def bundles(door: Door, side: str) -> Iterator[Cell]:
    """Yield transactions and batches that read, write and find a side's child."""
    weight = door.stored["Observation"][side]
    created = {"resource": weight, "request": {"method": "POST", "url": "Observation"}}
    found = {**created, "request": {**created["request"], "ifNoneExist": f"_tag={seal(side)}"}}
    read = {"request": {"method": "GET", "url": _patient(side)}}
    gone = {"request": {"method": "DELETE", "url": f"Observation/{key(side, 'Observation')}"}}
    for kind in ("transaction", "batch"):
        for entry in (created, found, read, gone):
            yield "POST", "/", {"resourceType": "Bundle", "type": kind, "entry": [entry]}


def whole(side: str) -> Iterator[Cell]:
    """Yield what is asked of every type at once."""
    yield "GET", "/_history?_count=200", None
    yield "GET", f"/?_type=Patient,Observation,Encounter&_tag={seal(side)}", None
    yield "GET", f"/?_id={key(side, 'Patient')}&_type=Patient", None
    yield "POST", "/_search?_type=Patient,Observation&_total=accurate", None
    yield "GET", "/metadata", None


def asked(door: Door, role: str, cell: Cell) -> httpx.Response:
    """Return the answer to a request, which is never a failure of the server."""
    answer = door(role, *cell)
    assert answer.status_code < 500 or answer.status_code == 501, (role, cell[:2], answer.text)
    return answer


def told(answer: httpx.Response) -> tuple[Any, ...]:
    """Return an answer's status, headers and words, but for the side that was asked about."""
    headers = {name: answer.headers.get(name, "") for name in _HEADERS}
    return answer.status_code, _stable(str(headers)), _stable(answer.text)


def _stable(text: str) -> str:
    """Leave out moments, ids that are drawn, and the names of sides."""
    return _SIDED.sub("…", _UNSTABLE.sub("", text))


def crossings(door: Door, role: str, other: list[Cell], unknown: list[Cell]) -> list[Any]:
    """List the requests whose answers tell what is the south's from what never was."""
    found: list[Any] = []
    for cell, twin in zip(other, unknown, strict=True):
        answer = asked(door, role, cell)
        if seal("south") in answer.text and seal("south") not in cell[1] + str(cell[2]):
            found.append((cell[:2], "shows the south's"))
        if cell == twin:  # it names no side: what it shows is all that it could tell
            continue
        of_other, of_nobody = told(answer), told(asked(door, role, twin))
        if of_other != of_nobody:
            found.append(
                (cell[:2], of_other[0], of_nobody[0], of_other[2][:300], of_nobody[2][:300])
            )
    return found


def versions(door: Door, side: str) -> dict[str, str | None]:
    """Return the version of each sealed resource of a side that stands."""
    return {
        kind: door("registry", "HEAD", f"/{kind}/{key(side, kind)}").headers.get("etag")
        for kind, by_side in door.stored.items()
        if is_sealed(by_side[side])
    }


def test_the_statement_names_what_the_matrix_asks(door: Door) -> None:
    stated = {each["type"] for each in door.statement["rest"][0]["resource"]}
    assert len(door.stored) > 120
    assert set(door.stored) <= stated


def test_the_registry_sees_both_sides(door: Door) -> None:
    """What follows would hold of a door that answers nobody: this one does answer."""
    for kind in door.stored.keys() - _PROJECTED:
        for side in SIDES:
            assert door("registry", "GET", f"/{kind}/{key(side, kind)}").status_code == 200
        assert door("registry", "GET", f"/{kind}/{key(UNKNOWN, kind)}").status_code == 404


def test_a_hospital_sees_its_own_child(door: Door) -> None:
    seen = {
        kind
        for kind, by_side in door.stored.items()
        if is_sealed(by_side["north"])
        and door("hospital", "GET", f"/{kind}/{key('north', kind)}").status_code == 200
    }
    assert {"Patient", "Encounter", "Observation", "Procedure", "Condition"} <= seen


def test_an_analyst_is_shown_children_and_none_by_the_id_that_it_has_here(door: Door) -> None:
    shown = door("analyst", "GET", "/Patient").json()["entry"]
    assert len(shown) == len(SIDES)
    ids = {key(side, "Patient") for side in SIDES}
    assert not ids & {each["resource"]["id"] for each in shown}
    for each in ids:
        assert door("analyst", "GET", f"/Patient/{each}").status_code == 404


@pytest.mark.parametrize(
    "role", [FIRST, *(pytest.param(r, marks=pytest.mark.slow) for r in OTHERS)]
)
def test_no_interaction_of_any_type_crosses(door: Door, role: str) -> None:
    before = versions(door, "south")
    found = [
        crossing
        for kind, by_side in door.stored.items()
        if is_sealed(by_side["south"])
        for crossing in crossings(
            door,
            role,
            list(interactions(door, kind, "south")),
            list(interactions(door, kind, UNKNOWN)),
        )
        if (role, kind) not in _TOLD_OF_ALL
    ]
    assert not found
    assert versions(door, "south") == before


@pytest.mark.parametrize("role", CONFINED)
def test_no_operation_crosses(door: Door, role: str) -> None:
    before = versions(door, "south")
    found = crossings(door, role, list(operations(door, "south")), list(operations(door, UNKNOWN)))
    assert not found
    assert versions(door, "south") == before


@pytest.mark.parametrize("role", CONFINED)
def test_nothing_that_is_asked_at_once_crosses(door: Door, role: str) -> None:
    before = versions(door, "south")
    for cells in (bundles, lambda _door, side: whole(side)):
        assert not crossings(door, role, list(cells(door, "south")), list(cells(door, UNKNOWN)))
    assert versions(door, "south") == before


@pytest.mark.parametrize("role", ["surgeon", "parent", "auditor", "integrator", "stranger"])
def test_who_has_no_view_is_refused_alike_whoever_it_is_about(door: Door, role: str) -> None:
    for kind in ("Patient", "Observation", "Encounter", "Consent", "MeasureReport"):
        answers = {
            told(asked(door, role, ("GET", f"/{kind}/{key(side, kind)}", None)))
            for side in (*SIDES, UNKNOWN)
        }
        assert len(answers) == 1
        assert next(iter(answers))[0] in _REFUSED
