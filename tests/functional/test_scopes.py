"""What a client's scopes let it do: each interaction and operation, searches and Bundles included.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.access import EVERYBODY_MAY, admit, hospital, token_hash
from fhir_server.access.scopes import LETTERS, NEEDS, InsufficientScopeError, granted, parse
from fhir_server.context import Principal
from fhir_server.interactions.capabilities import INTERACTIONS
from fhir_server.rest.routes import TABLE
from fhir_server.store import inbox
from r4.issue import FhirError
from tests.support.backend import CLIENTS, Backend, backend, bearer

NUMBER = {"system": "https://registry.example/Id/local", "value": "1"}
CHILD = {"resourceType": "Patient", "identifier": [NUMBER]}
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
BESIDE = {"process-message"}
"""What is asked for at other doors than the FHIR endpoint, and a scope may let a client do."""


HOSPITAL = f"""
[[client]]
name = "oxford"
hospitals = ["RTH"]
scopes = "system/*.cruds"
token_sha256 = "{token_hash("oxford's")}"
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Backend]:
    async with backend(tmp_path, CLIENTS + HOSPITAL) as found:
        found.name = "everything"
        yield found


async def ask(
    server: Backend, scope: str, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    server.scope = scope
    given = {**bearer(await server.token()), **headers}
    return await server.http.request(method, f"/fhir{path}", json=body, headers=given)


async def store(server: Backend, *resources: dict[str, Any]) -> list[str]:
    """Store resources; returns the place of each."""
    found = []
    for each in resources:
        answer = await ask(server, "system/*.c", "POST", f"/{each['resourceType']}", each)
        assert answer.status_code == 201, answer.text
        found.append(f"{each['resourceType']}/{answer.json()['id']}")
    return found


async def test_a_type_that_no_scope_can_name_is_not_named_in_a_header(server: Backend) -> None:
    for kind in ("%F2%AA%A1%B5", "a%0D%0ASet-Cookie:%20a=b", "a%22"):
        answer = await ask(server, "system/Patient.rs", "POST", f"/{kind}", CHILD)
        assert answer.status_code == 403, kind
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


def insufficient(answer: httpx.Response, scope: str) -> None:
    assert answer.status_code == 403, answer.text
    assert answer.json()["issue"][0]["code"] == "forbidden"
    said = f'Bearer error="insufficient_scope", scope="{scope}"'
    assert answer.headers["www-authenticate"] == said


def test_every_row_of_the_route_table_says_what_it_needs() -> None:
    assert {row.code for row in TABLE} | BESIDE == NEEDS.keys()


def test_every_need_is_of_known_letters() -> None:
    assert {
        letter for needs in NEEDS.values() for letters, _ in needs for letter in letters
    } == set(LETTERS)


def test_the_interactions_of_a_type_need_their_letter() -> None:
    letters = {code: NEEDS[code] for code in INTERACTIONS}
    assert letters == {
        "read": (("r", ""),), "vread": (("r", ""),), "history-instance": (("r", ""),),
        "create": (("c", ""),), "update": (("u", ""),), "patch": (("u", ""),),
        "delete": (("d", ""),), "search-type": (("s", ""),), "history-type": (("s", ""),),
    }  # fmt: skip


def test_what_is_not_in_the_table_no_scope_lets_a_client_do() -> None:
    principal = Principal("epr", frozenset({"registry"}), scopes=("system/*.cruds",))
    for interaction in ("metrics", "$new"):
        with pytest.raises(InsufficientScopeError, match="no scope lets a client do that"):
            admit(principal, interaction)


@pytest.mark.parametrize("code", sorted(NEEDS))
def test_each_interaction_is_admitted_with_what_it_needs_and_not_without(code: str) -> None:
    """With every single letter of `Patient` and of every type: the needs decide, and nothing else."""
    for kind, letters in product(("Patient", "Observation", "*"), ("", *LETTERS, "rs", LETTERS)):
        scopes = (f"system/{kind}.{letters}",) if letters else ()
        principal = Principal("epr", frozenset({"registry"}), scopes=scopes)
        reached = all(
            set(need) <= set(letters) and kind in ("*", of or "Patient") for need, of in NEEDS[code]
        )
        try:
            admit(
                principal,
                code,
                None if code in ("capabilities", "smart-configuration") else "Patient",
            )
        except FhirError:
            assert not reached
        else:
            assert reached


@pytest.mark.parametrize(
    ("mine", "asked", "found"),
    [
        ("system/*.cruds", "system/Patient.rs", "system/Patient.rs"),
        ("system/Patient.rs", "system/*.cruds", "system/Patient.rs"),
        ("system/Patient.cu system/Patient.rs", "system/Patient.ur", None),
        ("system/Patient.cu system/Patient.rs", "system/Patient.cr", "system/Patient.c system/Patient.r"),
        ("system/Patient.c", "system/Patient.r", None),
        ("system/Patient.c", "system/Observation.c", None),
    ],
)  # fmt: skip
def test_what_is_granted_is_what_both_say(mine: str, asked: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match=r"granted|in order"):
            granted(mine.split(), asked)
    else:
        assert " ".join(granted(mine.split(), asked)) == found


def test_a_scope_reads_as_it_is_written() -> None:
    for written in (
        "system/Patient.rs",
        "system/*.cruds",
        "system/Observation.s?category=a&code=b",
    ):
        assert str(parse(written)) == written


async def test_reading_searching_and_writing_need_their_letters(server: Backend) -> None:
    place = (await store(server, CHILD))[0]
    change = {"resourceType": "Parameters"}
    for method, path, body, letter in (
        ("GET", f"/{place}", None, "r"),
        ("GET", f"/{place}/_history/1", None, "r"),
        ("GET", f"/{place}/_history", None, "r"),
        ("GET", "/Patient?name=a", None, "s"),
        ("POST", "/Patient/_search", None, "s"),
        ("GET", "/Patient/_history", None, "s"),
        ("POST", "/Patient", CHILD, "c"),
        ("PUT", f"/{place}", {**CHILD, "id": place[8:]}, "u"),
        ("PATCH", f"/{place}", change, "u"),
        ("DELETE", f"/{place}", None, "d"),
    ):
        others = "".join(each for each in LETTERS if each != letter)
        answer = await ask(
            server, f"system/Patient.{others} system/Observation.cruds", method, path, body
        )
        insufficient(answer, f"system/Patient.{letter}")
    insufficient(await ask(server, "system/Patient.s", "GET", "/?_type=Patient"), "system/*.s")
    insufficient(
        await ask(server, "system/Patient.rs", "GET", f"/{place}/$everything"), "system/*.rs"
    )
    insufficient(
        await ask(server, "system/Patient.rs", "GET", f"/{place}/Observation"),
        "system/Observation.s",
    )
    answer = await ask(server, "system/Observation.s", "GET", f"/{place}/Observation")
    assert answer.status_code == 200
    audited = await server.audited()
    assert ("everything", "read", 403) in audited
    assert ("everything", "delete", 403) in audited


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        ("subject:Patient.name=a", "system/Patient.s"),
        ("patient.name=a", "system/Patient.s"),
        ("subject:Patient.organization.name=a", "system/Patient.s system/Organization.s"),
        ("_filter=subject:Patient.name eq a", "system/Patient.s"),
        ("_filter=not (status eq final or patient.name eq a)", "system/Patient.s"),
        ("_has:Provenance:target:agent=Practitioner/1", "system/Provenance.s"),
        ("_has:DiagnosticReport:result:patient.name=a", "system/DiagnosticReport.s system/Patient.s"),
        ("_include=Observation:subject:Patient", "system/Patient.r"),
        ("_include=Observation:specimen", "system/Specimen.r"),
        ("_include=*", "system/*.r"),
        ("_include=Observation:*", "system/*.r"),
        ("_revinclude=Provenance:target", "system/Provenance.r"),
        (
            "_include=Observation:encounter:Encounter&_include:iterate=Encounter:location:Location",
            "system/Encounter.r system/Location.r",
        ),
        ("_revinclude=*", "system/*.r"),
        ("_list=1", "system/List.r"),
    ],
)  # fmt: skip
async def test_a_search_reaches_no_type_that_no_scope_names(
    server: Backend, query: str, scope: str
) -> None:
    mine = "system/Observation.rs"
    insufficient(await ask(server, mine, "GET", f"/Observation?{query}"), scope)
    answer = await ask(server, f"{mine} {scope}", "GET", f"/Observation?{query}")
    assert answer.status_code in (200, 404), answer.text


async def test_a_search_of_its_own_type_is_let_through(server: Backend) -> None:
    for query in (
        "status=final&code=a,b",
        "subject=Patient/1",
        "_id=1&_lastUpdated=gt2020",
        "_sort=date",
        "status:not=final",
        "_filter=status eq final",
        "_include=Observation:has-member:Observation",
    ):
        answer = await ask(server, "system/Observation.rs", "GET", f"/Observation?{query}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", ["a hospital's client", "a client of another type"])
async def test_no_row_of_the_route_table_answers_who_may_not(server: Backend, who: str) -> None:
    """Each row by HTTP, its path filled with what is stored: 403, nothing shown, and audited.

    A hospital may ask most of them, of its own children: of this one, who is nobody's, it is told nothing.
    """
    place = (await store(server, CHILD))[0]
    server.scope = "system/Basic.cruds"
    is_hospital = who == "a hospital's client"
    token = "oxford's" if is_hospital else await server.token()
    parts = {"{type}": "Patient", "{id}": place[8:], "{version}": "1", "{member}": "*"}
    for row in TABLE:
        if row.code in EVERYBODY_MAY or (row.code == "transaction" and not is_hospital):
            continue  # a transaction without entries needs nothing
        if row.code == "$scorecard":
            continue  # it tells a client of its own traffic, whatever its scopes
        path = row.path.replace("{job}", "1").replace("{file}", "1")
        for name, value in parts.items():
            path = path.replace(name, value)
        body = None if row.method in ("GET", "DELETE") else {"resourceType": "Patient"}
        asked = {"headers": bearer(token), "json": body}
        answer = await server.http.request(row.method, f"/fhir{path}", **asked)
        if not is_hospital or hospital.refused(row.code, "Patient"):
            assert answer.status_code == 403, (row.method, path, answer.text)
        assert NUMBER["system"] not in answer.text, (row.method, path)
    name = "oxford" if is_hospital else "everything"
    refused = {
        code
        for principal, code, status in await server.audited()
        if (principal, status) == (name, 403)
    }
    needed = {row.code for row in TABLE} - EVERYBODY_MAY - {"transaction", "$scorecard"}
    assert refused >= {code for code in needed if not is_hospital or hospital.refused(code)}


async def test_what_is_conditional_needs_search(server: Backend) -> None:
    await store(server, CHILD)
    by_number = f"identifier={NUMBER['system']}|1"
    written = {**OBSERVATION, "subject": {"reference": f"Patient?{by_number}"}}
    once = {"If-None-Exist": by_number}
    for scope, method, path, body, headers, needed in (
        ("system/Patient.cu", "POST", "/Patient", CHILD, once, "system/Patient.s"),
        ("system/Patient.cu", "PUT", f"/Patient?{by_number}", CHILD, {}, "system/Patient.s"),
        ("system/Patient.d", "DELETE", f"/Patient?{by_number}", None, {}, "system/Patient.s"),
        ("system/Observation.cs", "POST", "/Observation", written, {}, "system/Patient.s"),
    ):
        insufficient(await ask(server, scope, method, path, body, **headers), needed)
        answer = await ask(server, f"{scope} {needed}", method, path, body, **headers)
        assert answer.status_code in (200, 201), answer.text
        await store(server, CHILD) if method == "DELETE" else None


async def test_a_patch_that_makes_a_reference_conditional_needs_search_too(server: Backend) -> None:
    place = (await store(server, OBSERVATION))[0]
    operation = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Observation"},
        {"name": "name", "valueString": "subject"},
        {"name": "value", "valueReference": {"reference": "Patient?identifier=1"}},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    answer = await ask(server, "system/Observation.ru", "PATCH", f"/{place}", patch)
    insufficient(answer, "system/Patient.s")
    assert list(inbox.refusals(server.made.database, "http")) == []


async def test_a_patch_shows_nothing_to_who_may_not_read(server: Backend) -> None:
    place = (await store(server, CHILD))[0]
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.identifier[0].value"},
        {"name": "value", "valueString": "2"},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    hidden = await ask(server, "system/Patient.u", "PATCH", f"/{place}", patch)
    assert (hidden.status_code, hidden.content) == (200, b"")
    operation[2]["valueString"] = "3"
    shown = await ask(server, "system/Patient.ru", "PATCH", f"/{place}", patch)
    assert shown.json()["identifier"][0]["value"] == "3"


async def test_a_subscription_needs_to_read_everything(server: Backend) -> None:
    body = {
        "resourceType": "Subscription", "status": "requested", "reason": "r", "criteria": "Patient?",
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:1/hook"},
    }  # fmt: skip
    answer = await ask(server, "system/Subscription.cruds", "POST", "/Subscription", body)
    insufficient(answer, "system/*.rs")


def bundle(kind: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    listed = []
    for method, url, resource in entries:
        entry = {"request": {"method": method, "url": url}}
        listed.append(entry if resource is None else {**entry, "resource": resource})
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


async def test_each_entry_of_a_batch_is_admitted_as_it_would_be_alone(server: Backend) -> None:
    place = (await store(server, CHILD))[0]
    sent = bundle(
        "batch",
        ("POST", "Observation", OBSERVATION),
        ("POST", "Patient", CHILD),
        ("GET", place, None),
        ("GET", "Observation?patient.name=a", None),
        ("GET", "Patient?name=a", None),
        ("DELETE", place, None),
        ("POST", "Observation", {**OBSERVATION, "subject": {"reference": "Patient?identifier=1"}}),
    )
    scope = "system/Observation.cs system/Patient.r"
    answer = await ask(server, scope, "POST", "", sent)
    statuses = [each["response"]["status"][:3] for each in answer.json()["entry"]]
    assert statuses == ["201", "403", "200", "403", "403", "403", "403"]
    audited = await server.audited()
    for interaction in ("create", "search-type", "delete"):
        assert ("everything", interaction, 403) in audited
    assert list(inbox.refusals(server.made.database, "http")) == []


async def test_a_transaction_is_stored_if_every_entry_is_admitted(server: Backend) -> None:
    place = (await store(server, CHILD))[0]
    sent = bundle(
        "transaction",
        ("POST", "Observation", OBSERVATION),
        ("PUT", place, {**CHILD, "id": place[8:]}),
        ("GET", "Encounter?patient.name=a", None),
    )
    answer = await ask(server, "system/Observation.c", "POST", "", sent)
    insufficient(answer, "system/Patient.u system/Encounter.s")
    places = [each["expression"] for each in answer.json()["issue"]]
    assert places == [["Bundle.entry[1]"], ["Bundle.entry[2]"]]
    found = await ask(server, "system/*.s", "GET", "/Observation?_summary=count")
    assert found.json()["total"] == 0
    scope = "system/Observation.c system/Patient.us system/Encounter.s"
    assert (await ask(server, scope, "POST", "", sent)).status_code == 200
    assert list(inbox.refusals(server.made.database, "http")) == []


async def test_what_a_bundle_would_do_is_told_to_who_might_do_it(server: Backend) -> None:
    place = (await store(server, CHILD))[0]
    sent = bundle("transaction", ("PUT", place, {**CHILD, "id": place[8:]}), ("GET", place, None))
    answer = await ask(server, "system/Bundle.r", "POST", "/Bundle/$validate", sent)
    insufficient(answer, "system/Patient.u system/Patient.r")
    for mode, letter in (("update", "u"), ("delete", "d")):
        body = {**CHILD, "id": place[8:]}
        answer = await ask(
            server, "system/Patient.r", "POST", f"/{place}/$validate?mode={mode}", body
        )
        insufficient(answer, f"system/Patient.{letter}")
    scope = "system/Bundle.r system/Patient.ru"
    assert (await ask(server, scope, "POST", "/Bundle/$validate", sent)).status_code == 200


async def test_what_a_client_may_not_do_is_not_kept_for_the_operator_to_do(server: Backend) -> None:
    written = {**OBSERVATION, "subject": {"reference": "Patient?identifier=1"}}
    assert (
        await ask(server, "system/Observation.c", "POST", "/Observation", written)
    ).status_code == 403
    assert list(inbox.refusals(server.made.database, "http")) == []
    wrong = {**OBSERVATION, "status": "wrong"}
    assert (
        await ask(server, "system/Observation.c", "POST", "/Observation", wrong)
    ).status_code == 422
    assert len(list(inbox.refusals(server.made.database, "http"))) == 1
