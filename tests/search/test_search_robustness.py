"""Whatever is asked: an answer, or a refusal that says why; on both databases, and soon."""

import base64
import time
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.interactions.search import search
from fhir_server.store.search.criteria import MODIFIERS, OWN
from fhir_server.store.search.parameters import parameters
from fhir_server.store.search.results import RESULT_PARAMETERS
from r4.issue import FhirError
from r4.json import decode
from tests.search.conftest import Registry

KINDS = ("Patient", "Observation", "Location", "ValueSet", "Measure", "MeasureReport", "")
TYPES = ("Patient", "Observation", "Group", "Measure", "Nonsense")


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {"resourceType": "Patient", "id": "p", "name": [{"family": "Heron"}], "birthDate": "2020"},
        {
            "resourceType": "Observation",
            "id": "o",
            "code": {"coding": [{"system": "urn:s", "code": "c"}]},
            "subject": {"reference": "Patient/p"},
            "valueQuantity": {"value": 1, "unit": "mg"},
        },
        {"resourceType": "Location", "id": "l", "position": {"latitude": 1, "longitude": 2}},
        {"resourceType": "Measure", "id": "m", "url": "http://x.example/m", "version": "1.2"},
        {"resourceType": "MeasureReport", "id": "r", "measure": "http://x.example/m|1.2"},
    )


def asked(registry: Registry, kind: str, pairs: list[tuple[str, str]]) -> int:
    """Return 200 or the status of the refusal; anything else is raised."""
    try:
        decode(search(registry.context, kind, pairs))
    except FhirError as refusal:
        return refusal.status
    return 200


def page(*values: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).decode().rstrip("=")


def page_of(**fields: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).decode().rstrip("=")


NASTY = ("\x00", "a\x00b", "\ud800", "\U0010ffff", "'", '"', "%", "\\", "(", "é", "٣", "")


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Patient", "_id"),
        ("Patient", "_lastUpdated"),
        ("Patient", "_list"),
        ("Patient", "_text"),
        ("Patient", "_content"),
        ("Patient", "_filter"),
        ("Patient", "_sort"),
        ("Patient", "_count"),
        ("Patient", "_page"),
        ("Patient", "_elements"),
        ("Patient", "_include"),
        ("Patient", "_revinclude"),
        ("Patient", "name"),
        ("Patient", "name:exact"),
        ("Patient", "name:contains"),
        ("Patient", "identifier"),
        ("Patient", "identifier:of-type"),
        ("Patient", "gender:text"),
        ("Patient", "gender:in"),
        ("Patient", "organization"),
        ("Patient", "organization:identifier"),
        ("Patient", "organization.name"),
        ("Patient", "_has:Observation:patient:code"),
        ("Patient", "_has:Observation:patient:_id"),
        ("Location", "near"),
        ("Observation", "value-quantity"),
        ("Observation", "code-value-quantity"),
        ("ValueSet", "url"),
        ("ValueSet", "url:below"),
        ("ValueSet", "url:above"),
        ("", "_type"),
    ],
)
def test_odd_characters_find_nothing_or_are_refused(
    registry: Registry, kind: str, name: str, text: str
) -> None:
    for value in (text, f"{text},{text}", f"{text}|{text}", f"a{text}$1"):
        assert asked(registry, kind, [(name, value)]) in (200, 400, 422)


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("Patient", ("_count", "9" * 40)),
        ("Patient", ("_count", "-9223372036854775809")),
        ("Patient", ("_lastUpdated", "gt9999-12-31T23:59:59.999999999Z")),
        ("Patient", ("_lastUpdated", "lt0001")),
        ("Patient", ("_lastUpdated", "99999")),
        ("Patient", ("_lastUpdated", "ap0001")),
        ("Patient", ("birthdate", "ap9999")),
        ("Patient", ("birthdate", "0000-00-00")),
        ("Patient", ("birthdate", "2021-02-30T25:61:61+99:99")),
        ("Observation", ("value-quantity", "1e400")),
        ("Observation", ("value-quantity", "1e-400||mg")),
        ("Observation", ("value-quantity", "ap1e999999999||mg")),
        ("Observation", ("value-quantity", "1e99999999999999999|http://unitsofmeasure.org|mg")),
        ("Observation", ("value-quantity", "9" * 39)),
        ("Observation", ("value-quantity", "1|http://unitsofmeasure.org|m9999999999")),
        ("Observation", ("value-quantity", "1|http://unitsofmeasure.org|" + "(" * 500)),
        ("Location", ("near", "1|2|1e400|km")),
        ("Location", ("near", "1e400|2")),
        ("Patient", ("_page", page_of(snapshot=(1 << 62) - 1))),
        ("Patient", ("_page", page_of(snapshot=1, after=(1 << 62) - 1))),
        ("Patient", ("_page", page_of(snapshot=1, before=(1 << 62) - 1))),
        ("Patient", ("_page", page_of(snapshot=1, offset=(1 << 62) - 1))),
        ("Patient", ("_page", page_of(snapshot=1 << 63))),
        ("Patient", ("_page", page_of(snapshot=-(1 << 63)))),
        ("Patient", ("_page", page_of(snapshot=1, offset=-1))),
        ("Patient", ("_page", page_of(snapshot=1, offset=(1 << 64) - 1))),
        ("Patient", ("_page", page_of(snapshot=1, after=(1 << 64) - 1))),
        ("Patient", ("_page", page_of(snapshot=1, total=-1))),
        ("Patient", ("_page", page(1))),
        ("Basic", ("subject." * 9 + "name", "x")),
        ("Provenance", ("target." * 9 + "_id", "x")),
        ("Patient", ("_has:Observation:focus:" * 9 + "_id", "x")),
        ("Organization", ("partof." * 10 + "name", "x")),
        ("Organization", ("_has:Organization:partof:" * 10 + "name", "x")),
        ("Patient", ("_has:Patient:link:link." * 5 + "name", "x")),
        ("Patient", ("_filter", "not " * 19 + "name eq x")),
        (
            "Patient",
            ("_filter", "not (name eq y and not (name eq x or " * 9 + "name eq x" + "))" * 9),
        ),
        (
            "Organization",
            (
                "_filter",
                "not (name eq y or not (name eq x and " * 9
                + "partof." * 9
                + "name eq x"
                + "))" * 9,
            ),
        ),
        ("Patient", ("_filter", " or ".join(["name eq x"] * 600))),
        ("Patient", ("_filter", "(" * 2000)),
        ("Patient", ("_filter", 'name eq "\\u12"')),
        ("Patient", ("_filter", 'name eq "\\x"')),
    ],
)
def test_what_is_too_much_is_refused_or_answered_soon(
    registry: Registry, kind: str, query: tuple[str, str]
) -> None:
    began = time.perf_counter()
    assert asked(registry, kind, [query]) in (200, 400, 422)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Patient", "_id", "a{}"),
        ("Patient", "_list", "a{}"),
        ("Patient", "_lastUpdated", "gt{:04}"),
        ("Patient", "_text", "a{}"),
        ("Patient", "name", "a{}"),
        ("Patient", "name:contains", "a{}"),
        ("Patient", "name:exact", "a{}"),
        ("Patient", "identifier", "a{}"),
        ("Patient", "identifier:not", "a{}"),
        ("Patient", "birthdate", "1{:03.0f}"),
        ("Patient", "organization", "Organization/a{}"),
        ("Patient", "general-practitioner", "a{}"),
        ("Patient", "organization.name", "a{}"),
        ("Observation", "value-quantity", "{}"),
        ("Observation", "code-value-quantity", "a${}"),
        ("Location", "near", "1|2|{}"),
        ("ValueSet", "url:above", "http://x/{}"),
        ("Patient", "_sort", "name"),
        ("Patient", "_elements", "a{}"),
        ("Patient", "_include", "*"),
    ],
)
@pytest.mark.parametrize("repeated", [False, True])
def test_ten_thousand_values(
    registry: Registry, kind: str, name: str, value: str, repeated: bool
) -> None:
    began = time.perf_counter()
    listed = [value.format(number) for number in range(1, 10_001)]
    pairs = [(name, each) for each in listed] if repeated else [(name, ",".join(listed))]
    assert asked(registry, kind, pairs) in (200, 400, 422)
    assert time.perf_counter() - began < 20


names = st.one_of(
    st.sampled_from([*OWN, *RESULT_PARAMETERS, "_type", "_has:Observation:patient:code"]),
    st.builds(
        lambda kind, at, modifier, tail: (
            f"{sorted(parameters(kind))[at % len(parameters(kind))]}{modifier}{tail}"
        ),
        st.sampled_from([kind for kind in KINDS if kind]),
        st.integers(0, 100),
        st.sampled_from(["", *(f":{each}" for each in sorted({*sum(MODIFIERS.values(), ())}))]),
        st.sampled_from(["", "", "", ".name", ".url", ".subject:Patient.name", "._id"]),
    ),
    st.text(max_size=12),
)
words = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(codec=None), max_size=6),
    st.sampled_from(["1", "ap1", "ge2020", "2020-01-01T00:00:00Z", "a|b", "a$b", "true", "1|2|3|km"]),
    st.builds(":".join, st.lists(st.sampled_from([*TYPES, "subject", "*", "measure"]), max_size=4)),
    st.builds(" ".join, st.lists(st.sampled_from(
        ["name", "eq", "co", "(", ")", "not", "and", "or", "x", "[", "]", ".", '"y"', "pr", "true"]
    ), max_size=8)),
    st.decimals().map(str),
    st.integers().map(str),
)  # fmt: skip


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(KINDS), st.lists(st.tuples(names, words), min_size=1, max_size=4))
def test_any_query_is_answered_or_refused(
    registry: Registry, kind: str, pairs: list[tuple[str, str]]
) -> None:
    assert asked(registry, kind, pairs) in (200, 400, 422), quote(str(pairs))
