"""What tests that fuzz share: resources to begin with, how they are made wrong, what no answer may be."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import profiles
from r4 import artefacts, xml
from r4.json import decode, encode
from tests.profiles.corpus import examples
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.server import Served

JSON = {"Content-Type": "application/fhir+json"}
LARGEST = 20_000
FEW = 500
"""No more examples than these are a few."""
ABSENT = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}
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
def mutated(draw: st.DrawFn, resource: Any) -> Any:
    """Draw a copy of which a few elements have been removed, renamed, moved or replaced."""
    made = deepcopy(resource)
    for _ in range(draw(st.integers(1, 4))):
        if not (there := places(made, [])):
            break
        parent, key = there[draw(st.integers(0, len(there) - 1))]
        what = draw(st.sampled_from(["remove", "rename", "replace", "wrap", "copy", "absent"]))
        if what == "remove":
            del parent[key]
        elif what == "absent" and isinstance(parent, dict):
            instead = deepcopy(ABSENT)
            parent[f"_{key}"] = [instead] if isinstance(parent.pop(key), list) else instead
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


def mutants() -> st.SearchStrategy[dict[str, Any]]:
    """Return what draws such copies of the resources to begin with."""
    return st.deferred(lambda: st.sampled_from(seeds())).flatmap(mutated)


@cache
def of_each_type() -> tuple[dict[str, Any], ...]:
    """Return an example of the standard for each type; skips the test where they are not here."""
    found: dict[str, dict[str, Any]] = {}
    for _, resource in examples():
        if len(repr(resource)) < LARGEST:
            found.setdefault(resource["resourceType"], resource)
    return tuple(found.values())


def of_lengths(few: int, many: int) -> pytest.MarkDecorator:
    """Run a test with a few examples, always the same, and with many, of which `make test` has none."""
    return pytest.mark.parametrize("length", [few, pytest.param(many, marks=pytest.mark.slow)])


def every(length: int, check: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> None:
    """Run a check on as many examples as a test asks for; many of them are others each time."""
    held = settings(
        max_examples=length,
        derandomize=length <= FEW,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    given_each = given(*drawn)
    held(given_each(check))()


def content_of(body: Any) -> bytes:
    """Write JSON, half a surrogate pair as well, which JSON can spell."""
    try:
        return encode(body)
    except UnicodeEncodeError:
        return json.dumps(body, default=float).encode()


def sent(server: Served, path: str, body: Any) -> httpx.Response:
    """POST a body and return the answer, which is one of FHIR and no failure."""
    answer = server.http.post(path, content=content_of(body), headers=JSON)
    assert answer.status_code < 500, (path, content_of(body), answer.text)
    assert answer.json()["resourceType"]
    return answer


def no_failure(answer: httpx.Response) -> httpx.Response:
    """Return an answer, which is no failure, and, as a refusal, an OperationOutcome that says why."""
    asked = answer.request
    said = (asked.method, asked.url, asked.headers, asked.content[:2000], answer.text[:2000])
    assert answer.status_code < 500, said
    if answer.status_code >= 400 and asked.method != "HEAD":
        is_xml = "xml" in answer.headers["Content-Type"]
        outcome = xml.decode(answer.content) if is_xml else decode(answer.content)
        assert outcome["resourceType"] == "OperationOutcome", said
        assert all(issue["code"] and issue["diagnostics"] for issue in outcome["issue"]), said
        assert any(issue["severity"] in ("error", "fatal") for issue in outcome["issue"]), said
    return answer
