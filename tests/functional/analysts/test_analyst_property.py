"""Whatever an analyst asks, no answer holds anything by which a child is known."""

import json
import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.access.analyst import READABLE, SEARCHED
from fhir_server.access.pseudonyms import pseudonyms
from fhir_server.rest.routes import TABLE
from fhir_server.store.search.keys import place
from tests.support.analysts import OPCS, REGISTRY, SNOMED, Registry, days_of

VALUES = (
    f"{OPCS}|H01.1", f"{SNOMED}|80146002", f"{SNOMED}|27113001", "final", "male", "female", "true",
    "completed", "a", "", "|", "%", "*", "Patient/x", "ge2018-01-01", "1858-01-10", "Family", "LS1",
)  # fmt: skip
HIDDEN = (
    "name", "family", "identifier", "birthdate", "address", "telecom", "_text", "_content", "_filter",
    "_has:Observation:patient:code", "_lastUpdated", "date", "_sort", "_include", "_revinclude", "_total",
    "_summary", "_elements", "subject.name", "patient:Patient.family", "code:text", "_page", "_list",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ASKED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def told(answer: Any) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return f"{headers}\n{answer.text}"


def words(text: str) -> set[str]:
    """Return the words of an answer: what a JSON text, a URL or a header has between its signs."""
    return set(re.split(r"[\s\"'<>/|?&=:,;{}\[\]()]+", text))


@pytest.fixture(scope="module")
def known(registry: Registry) -> frozenset[str]:
    """Every text, id and day of the children, and of the hospital."""
    hospital = {"hospital-of-all", "Hospital of Somewhere", "RN1"}
    return frozenset(registry.secrets | hospital)


@pytest.fixture(scope="module")
def tokens(registry: Registry) -> dict[str, list[str]]:
    return {
        kind: [e["id"] for e in registry.found(f"/{kind}")] for kind in sorted(map(str, READABLE))
    }


def refuse_secrets(text: str, known: frozenset[str], sent: str) -> None:
    """Fail where an answer holds what is known of a child, unless the asker has said it."""
    split = words(text)
    found = {each for each in known if each in split or (len(each) > 10 and each in text)}
    assert not {each for each in found if each not in sent}, found


@ASKED
@given(data=st.data())
def test_a_search_tells_nothing_of_who_a_child_is(
    registry: Registry, known: frozenset[str], tokens: dict[str, list[str]], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(SEARCHED)))
    names = st.one_of(st.sampled_from([*SEARCHED[kind], "_count"]), st.sampled_from(HIDDEN))
    held = [token for listed in tokens.values() for token in listed]
    values = st.one_of(
        st.sampled_from(VALUES), st.sampled_from(held), st.sampled_from(sorted(known)),
        st.sampled_from(held).map(lambda token: f"Patient/{token}"), st.integers(-1, 9).map(str),
    )  # fmt: skip
    pairs = data.draw(st.lists(st.tuples(names, values), max_size=4))
    answer = registry.get(f"/{kind}?{urlencode(pairs)}")
    assert answer.status_code in (200, 400, 403), answer.text
    refuse_secrets(told(answer), known, urlencode(pairs))
    for each in answer.json().get("entry", ()):
        assert each["resource"]["id"] in tokens[kind]


@ASKED
@given(data=st.data())
def test_no_request_whatever_tells_anything(
    registry: Registry, known: frozenset[str], tokens: dict[str, list[str]], data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from(TABLE))
    kind = data.draw(st.sampled_from(sorted(tokens)))
    ids = st.one_of(st.sampled_from(sorted(known)), st.sampled_from(tokens[kind] or ["x"]))
    given_ids = {
        "type": kind, "member": "Observation", "version": "1", "job": "x", "file": "x",
        "id": data.draw(ids),
    }  # fmt: skip
    url = row.path
    for name, value in given_ids.items():
        url = url.replace(f"{{{name}}}", value.replace("/", "%2F").replace(" ", "%20"))
    method = data.draw(st.sampled_from([row.method, *METHODS]))
    answer = registry.ask("analyst", method, url, content=b"{}" if method == "POST" else None)
    assert answer.status_code < 500, answer.text
    refuse_secrets(told(answer), known, url)


def test_an_export_tells_nothing_of_who_a_child_is(
    registry: Registry, known: frozenset[str]
) -> None:
    job, found = registry.exported("/$export")
    assert len(found["Patient"]) == len(registry.children)
    refuse_secrets(json.dumps(found), known, "")
    refuse_secrets(told(registry.get(job)), known, "")


def test_the_registry_is_told_what_is_looked_for_here(
    registry: Registry, known: frozenset[str]
) -> None:
    """The same look at the registry's own answers finds nearly all of it: it is no look that cannot fail."""
    listed = {kind: registry.found(f"/{kind}?_count=200", REGISTRY) for kind in ("Patient", "Observation",
              "Procedure", "Condition", "Encounter", "Organization")}  # fmt: skip
    split = words(json.dumps(listed)) | set(days_of(listed))
    assert len({each for each in known if each in split}) > 0.9 * len(known)


def test_all_days_of_a_child_are_moved_by_one_number_and_children_by_others(
    registry: Registry,
) -> None:
    made = pseudonyms(registry.ask.made.settings)
    shifts = set()
    for child in registry.children:
        at = place("Patient", child.patient["id"])
        token, shift = made.token("Patient", at), timedelta(made.days(at))
        for kind in ("Encounter", "Procedure", "Observation", "Condition"):
            stored = [each for each in child.resources if each["resourceType"] == kind]
            days = [date.fromisoformat(each) for each in days_of(stored)]
            shown = days_of(registry.found(f"/{kind}?patient={token}"))
            assert sorted(str(each - shift) for each in days) == sorted(shown)
        shifts.add(shift)
    assert len(shifts) > len(registry.children) / 2
