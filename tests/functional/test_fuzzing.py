"""Whatever is made of a resource, validating or writing it is answered, and never fails."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import profiles
from r4 import artefacts
from r4.json import decode, encode
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.outcomes import issues, rule
from tests.support.server import Served

JSON = {"Content-Type": "application/fhir+json"}
EXAMPLES = 120
LARGEST = 20_000
OF_A_TEST = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False).map(float),
    st.text(max_size=12),
    st.sampled_from([
        "", " ", "\x00", "\ud800", "Patient/nowhere", "Patient?identifier=", "urn:uuid:x", "#a",
        "%%%", "2020-13-41", "0000", "http://[", "javascript:x", "a|b|c", "$this", "'", "(" * 50,
        "https://fhir.nhs.uk/Id/nhs-number", "Bundle", "QuestionnaireResponse", "replaced-by",
    ]),
)  # fmt: skip
WRONG = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceType", "url", "value", "id", "extension", "reference", "coding", "item"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@cache
def seeds() -> tuple[dict[str, Any], ...]:
    """Return resources to begin with: those with faults of integrators, forms, answers, our own."""
    folder = Path(profiles.__file__).parent / "examples"
    files = [f for f in sorted(folder.rglob("*.json")) if not f.name.endswith(".issues.json")]
    found = [decode(file.read_bytes()) for file in files]
    found += [example(NOTE, "soave-laparoscopic"), example(SURVEY, "continent-child")]
    for kind in ("Questionnaire", "Measure"):
        folder_of = {"Questionnaire": "questionnaires", "Measure": "outcome_engine"}[kind]
        found += list(artefacts.by_url(folder_of, kind).values())
    found.append(
        {
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "x",
            "criteria": "Patient?name=a",
            "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/x"},
        }
    )
    return tuple(each for each in found if isinstance(each, dict))


def places(node: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """List each (parent, key or index) below a node."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            places(node[key], found)
    return found


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a resource of which a few elements have been removed, renamed, moved or replaced."""
    made = deepcopy(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 4))):
        if not (there := places(made, [])):
            break
        parent, key = there[draw(st.integers(0, len(there) - 1))]
        what = draw(st.sampled_from(["remove", "rename", "replace", "wrap", "copy"]))
        if what == "remove":
            del parent[key]
        elif what == "rename" and isinstance(parent, dict):
            name = draw(st.sampled_from(["_" + key, key + "x", "valueString", "extension"]))
            parent[name] = parent.pop(key)
        elif what == "wrap":
            parent[key] = [parent[key]]
        elif what == "copy":
            other, name = there[draw(st.integers(0, len(there) - 1))]
            copied = other[name] if isinstance(other, list) or name in other else 0
            parent[key] = deepcopy(copied) if len(repr(copied)) < LARGEST else 0
        else:
            parent[key] = draw(WRONG)
    return made


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a transaction or batch of such resources, parts of it made wrong as well."""
    entries = []
    for number in range(draw(st.integers(0, 4))):
        resource = draw(mutants())
        kind = resource.get("resourceType")
        method = draw(st.sampled_from(["POST", "POST", "PUT", "DELETE", "GET", "PATCH"]))
        url = f"{kind}" if method == "POST" else f"{kind}/{resource.get('id', 'a')}"
        url = draw(st.sampled_from([url, url, f"{kind}?_id=a", f"{kind}?identifier=a|b"]))
        request: dict[str, Any] = {"method": method, "url": url}
        if draw(st.booleans()):
            name = draw(st.sampled_from(["ifNoneExist", "ifMatch", "url", "method"]))
            request[name] = draw(st.sampled_from(["identifier=a", 'W/"1"', "", "x=y"]) | WRONG)
        entry = {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": request}
        if method in ("GET", "DELETE"):
            del entry["resource"]
        entries.append(draw(st.sampled_from([entry, entry, entry, entry]) | WRONG))
    kind = draw(st.sampled_from(["transaction", "batch"]))
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def sent(server: Served, path: str, body: Any) -> httpx.Response:
    """POST a body and return the answer, which is one of FHIR and no failure."""
    try:
        content = encode(body)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can still spell
        content = json.dumps(body, default=float).encode()
    answer = server.http.post(path, content=content, headers=JSON)
    assert answer.status_code < 500, (path, content, answer.text)
    assert answer.json()["resourceType"]
    return answer


def test_what_is_mutated_is_in_part_accepted_and_in_part_refused(server: Served) -> None:
    statuses = [sent(server, f"/{each['resourceType']}", each).status_code for each in seeds()]
    assert {201, 422} <= set(statuses)
    assert statuses.count(201) >= 3


@OF_A_TEST
@given(mutants(), st.sampled_from(["", "?mode=create"]))
def test_a_resource_that_is_validated(server: Served, resource: Any, query: str) -> None:
    answer = sent(server, f"/$validate{query}", resource)
    assert answer.status_code in (200, 400)


@OF_A_TEST
@given(mutants())
def test_a_resource_that_is_created_is_validated_alike(server: Served, resource: Any) -> None:
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind.isalpha():
        kind = "Patient"
    answer = sent(server, f"/{kind}", resource)
    if answer.status_code == 201 and kind not in ("Parameters", "QuestionnaireResponse"):
        content = {
            key: value for key, value in resource.items() if key != "id"
        }  # is not taken over
        said = issues(sent(server, "/$validate?mode=create", content))
        assert [each for each in said if each["severity"] in ("error", "fatal")] == []


@OF_A_TEST
@given(bundles())
def test_a_bundle_is_rehearsed_and_carried_out_alike(server: Served, bundle: Any) -> None:
    rehearsed = sent(server, "/$validate", bundle)
    assert rehearsed.status_code in (200, 400)
    done = sent(server, "/", bundle)
    if rehearsed.status_code == 200 and bundle.get("type") == "transaction":
        rules = [rule(issue) for issue in issues(rehearsed) if issue["severity"] == "information"]
        promised = 0 < len(rules) == len(bundle["entry"]) and "would-be-refused" not in rules
        assert promised == (done.status_code == 200), (encode(bundle), rehearsed.text, done.text)
