"""Whatever comes in at the doors, of every type, in either format, with whatever headers: no failure."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from r4 import definitions, xml
from r4.issue import FhirError
from r4.json import decode
from tests.profiles.generated import resources
from tests.support.mutations import (
    JSON,
    LEAVES,
    WRONG,
    content_of,
    every,
    mutants,
    mutated,
    no_failure,
    of_each_type,
    of_lengths,
)
from tests.support.server import Served, served

XML = "application/fhir+xml"
TYPES = st.sampled_from(definitions.resource_types())
WHOLE = TYPES.flatmap(resources)
ANY = mutants() | WHOLE | WHOLE.flatmap(mutated)
TEXT = st.text(max_size=20) | st.sampled_from([
    "", "W/\"1\"", "W/\"x\"", "*", "\"", "W/\"99999999999999999999\"", "return=minimal", "return=x",
    "handling=lenient", "handling=", "respond-async", "application/fhir+xml", "application/fhir+json",
    "application/fhir+json;q=x", "text/turtle", "*/*;q=0", ";;;", "application/json; charset=x",
    "identifier=a|b", "_id=", "=", "gzip", "br", "Bearer x", "Basic =", "Thu, 01 Jan 1970 00:00:00 GMT",
])  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from([
        "Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "If-Match",
        "If-Modified-Since", "If-None-Exist", "If-None-Match", "Idempotency-Key", "Origin", "Prefer",
        "X-Request-Id",
    ]),
    TEXT.map(lambda text: text.encode("latin-1", "replace").translate(None, CONTROLS).strip()),
    max_size=4,
)  # fmt: skip
CONTROLS = bytes([*range(32), 127])
"""What no header may hold: the transport refuses it before it is one of FHIR."""
PATCHES = ("add", "remove", "replace", "move", "copy", "test", "insert", "delete", "swap")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("door")) as running:
        yield running


def kind_of(resource: Any) -> str:
    kind = resource.get("resourceType")
    return kind if kind in definitions.resource_types() else "Patient"


@of_lengths(100, 4000)
def test_any_resource_is_created_updated_and_validated(door: Served, length: int) -> None:
    seen = set()

    def check(resource: dict[str, Any], headers: dict[str, bytes]) -> None:
        kind, content = kind_of(resource), content_of(resource)
        named = content_of({**resource, "id": "fuzzed"})
        with_type = {**JSON, **headers}
        post, put = door.http.post, door.http.put
        seen.add(no_failure(post(f"/{kind}", content=content, headers=with_type)).status_code)
        seen.add(no_failure(put(f"/{kind}/fuzzed", content=named, headers=with_type)).status_code)
        no_failure(put(f"/{kind}?_id=fuzzed", content=content, headers=with_type))
        no_failure(post(f"/{kind}/$validate", content=content, headers=with_type))
        no_failure(door.http.get(f"/{kind}/fuzzed", headers=headers))

    every(length, check, ANY, HEADERS | st.just({}))
    assert {201, 422} <= seen


@of_lengths(100, 4000)
def test_xml_is_refused_or_is_the_same_resource(door: Served, length: int) -> None:
    seen = set()
    kind_of_xml = {"Content-Type": XML}

    def check(resource: dict[str, Any]) -> None:
        try:
            content = xml.encode(resource)
        except FhirError:  # what has no XML: half a surrogate pair, an element that is no element
            return
        kind = kind_of(resource)
        answer = no_failure(door.http.post(f"/{kind}", content=content, headers=kind_of_xml))
        seen.add(answer.status_code)
        if answer.status_code == 201:
            got = door.http.get(f"/{kind}/{answer.json()['id']}", headers={"Accept": XML})
            assert stripped(xml.decode(got.content)) == stripped(decode(answer.content))
            again = door.http.post(f"/{kind}", content=content_of(resource), headers=JSON)
            if (
                again.status_code == 201
            ):  # XML cannot spell every fault of JSON: an empty array, null
                assert stripped(decode(again.content)) == stripped(decode(answer.content))

    every(length, check, ANY)
    assert {201, 422} <= seen


def stripped(resource: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the server gives, and the order of what has none."""
    meta = {
        k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")
    }
    rest = {k: v for k, v in resource.items() if k not in ("id", "meta")}
    return {**rest, "meta": meta}


@of_lengths(60, 2000)
def test_bytes_that_are_no_resource_are_refused(door: Served, length: int) -> None:
    whole = b'<Patient xmlns="http://hl7.org/fhir"><name><family value="x"/></name></Patient>'

    def check(data: st.DataObject, kind: str) -> None:
        content = bytearray(
            data.draw(st.sampled_from([whole, content_of({"resourceType": "Patient"})]))
        )
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        headers = {"Content-Type": kind}
        no_failure(door.http.post("/Patient", content=bytes(content), headers=headers))
        no_failure(door.http.post("/", content=bytes(content), headers=headers))
        no_failure(door.http.post("/$validate", content=bytes(content), headers=headers))

    every(length, check, st.data(), st.sampled_from([XML, "application/fhir+json"]))


@of_lengths(80, 2000)
def test_any_patch_is_applied_or_refused(door: Served, length: int) -> None:
    seen = set()

    def check(resource: dict[str, Any], data: st.DataObject) -> None:
        kind = kind_of(resource)
        named = content_of({**resource, "id": "patched"})
        answer = no_failure(door.http.put(f"/{kind}/patched", content=named, headers=JSON))
        if answer.status_code not in (200, 201):
            kind = "Patient"
            door.http.put("/Patient/patched", json={"resourceType": "Patient", "id": "patched"})
        for content_type, content in (
            ("application/json-patch+json", content_of(data.draw(json_patches(resource)))),
            ("application/fhir+json", content_of(data.draw(fhirpath_patches(kind)))),
            ("application/xml-patch+xml", data.draw(xml_patches(kind)).encode("utf-8", "replace")),
        ):
            headers = {"Content-Type": content_type}
            patched = door.http.patch(f"/{kind}/patched", content=content, headers=headers)
            seen.add(no_failure(patched).status_code)

    every(length, check, ANY, st.data())
    assert {200, 400, 422} <= seen


@st.composite
def json_patches(draw: st.DrawFn, resource: Any) -> Any:
    names = st.sampled_from(
        [*resource, "0", "-", "", "~1", "~2", "extension", "name", "01", "9" * 30]
    )
    pointers = st.lists(names, max_size=3).map(lambda steps: "".join(f"/{each}" for each in steps))
    operations = st.fixed_dictionaries(
        {"op": st.sampled_from(PATCHES), "path": pointers | LEAVES},
        optional={"value": WRONG, "from": pointers | LEAVES},
    )
    return draw(st.lists(operations | WRONG, max_size=3) | WRONG)


@st.composite
def fhirpath_patches(draw: st.DrawFn, kind: str) -> Any:
    paths = st.sampled_from([
        kind, f"{kind}.id", f"{kind}.text", f"{kind}.extension", f"{kind}.extension[0]",
        f"{kind}.identifier.where(true)", f"{kind}.meta.tag", f"{kind}.contained", "%resource", "1/0",
        f"{kind}.descendants()", "now()", "'a'.matches('(')", "x.y.z", "", "(", "{}", "iif(1,2,3)",
    ])  # fmt: skip
    part = st.fixed_dictionaries(
        {
            "name": st.sampled_from(
                ["type", "path", "name", "value", "index", "source", "destination"]
            )
        },
        optional={
            "valueCode": st.sampled_from(PATCHES),
            "valueString": paths | LEAVES,
            "valueInteger": LEAVES,
            "part": st.just([{"name": "value", "valueString": "x"}]) | WRONG,
        },
    )
    whole = st.tuples(
        st.sampled_from(PATCHES),
        paths,
        st.sampled_from(["language", "extension", "id", "name"]),
        WRONG,
    ).map(
        lambda each: [
            {"name": "type", "valueCode": each[0]},
            {"name": "path", "valueString": each[1]},
            {"name": "name", "valueString": each[2]},
            {"name": "value", "valueString": each[3]},
        ]
    )
    parts = st.lists(part | WRONG, max_size=4) | whole
    operation = st.fixed_dictionaries({"name": st.just("operation"), "part": parts})
    listed = draw(st.lists(operation | WRONG, max_size=2))
    return {"resourceType": "Parameters", "parameter": listed}


@st.composite
def xml_patches(draw: st.DrawFn, kind: str) -> str:
    select = draw(
        st.sampled_from([
            f"f:{kind}", f"f:{kind}/f:id/@value", f"f:{kind}/f:text", f"f:{kind}/*[1]", f"f:{kind}/@x",
            "/", "//*", "x:y", "count(//*)", "f:a[", "..", f"f:{kind}/text()", "id('x')", "",
        ])
    )  # fmt: skip
    name = draw(st.sampled_from(["add", "remove", "replace", "other"]))
    inside = draw(st.sampled_from([
        "", "x", '<language xmlns="http://hl7.org/fhir" value="en"/>', "<a/>", "<!--x-->", "<a", "&x;",
        '<active xmlns="http://hl7.org/fhir" value="x"/>',
    ]))  # fmt: skip
    extra = draw(
        st.sampled_from(["", 'pos="before"', 'type="@value"', 'type="namespace::x"', 'pos="x"'])
    )
    return f'<diff xmlns:f="http://hl7.org/fhir"><{name} sel="{select}" {extra}>{inside}</{name}></diff>'


@of_lengths(60, 3000)
def test_any_search_with_any_header_is_answered_or_refused(door: Served, length: int) -> None:
    seen = set()
    door.http.post("/Patient", json={"resourceType": "Patient", "name": [{"family": "Heron"}]})
    names = {
        kind: [
            each["code"]
            for each in definitions.every("SearchParameter")
            if kind in each.get("base", ())
        ]
        for kind in definitions.resource_types()
    }
    own = ["_id", "_lastUpdated", "_tag", "_has:Observation:patient:code", "_filter", "_sort", "_count",
           "_include", "_revinclude", "_summary", "_elements", "_total", "_format", "_page", "_type",
           "_contained", "_text", "_content", "_list", "_since", "_at", "_pretty", "_before"]  # fmt: skip

    def check(data: st.DataObject, kind: str, headers: dict[str, bytes]) -> None:
        name = st.sampled_from([*names[kind], *own])
        suffix = st.sampled_from(
            ["", "", "", ":exact", ":not", ":in", ":missing", ":Patient.name", ".x"]
        )
        value = st.text(max_size=12) | st.sampled_from([
            "a", "1", "gt2020", "sa2020-01-01T00:00:00Z", "5.4|http://x|mg", "a|b", "|", "Patient/1", "x$y",
            "*", "true", "name eq x", "-name", "Patient:general-practitioner", "a,b,,", "\\,", "%", "1e400",
        ])  # fmt: skip
        pairs = data.draw(
            st.lists(st.tuples(st.builds(str.__add__, name, suffix), value), max_size=4)
        )
        place = data.draw(st.sampled_from([f"/{kind}", f"/{kind}/_history", "/", "/_history", f"/{kind}/x",
                                           f"/Patient/x/{kind}"]))  # fmt: skip
        params = httpx.QueryParams([(n, v.encode("utf-8", "replace").decode()) for n, v in pairs])
        seen.add(no_failure(door.http.get(place, params=params, headers=headers)).status_code)
        form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        content = str(params).encode()
        no_failure(door.http.post(f"/{kind}/_search", content=content, headers=form))
        no_failure(door.http.delete(f"/{kind}", params=params, headers=headers))

    every(length, check, st.data(), TYPES, HEADERS | st.just({}))
    assert {200, 400} <= seen


@pytest.mark.slow
def test_the_standards_examples_mutated_are_answered_or_refused(door: Served) -> None:
    mutants_of_all = st.sampled_from(of_each_type()).flatmap(mutated)

    def check(resource: dict[str, Any]) -> None:
        kind, content = kind_of(resource), content_of(resource)
        no_failure(door.http.post(f"/{kind}", content=content, headers=JSON))
        no_failure(door.http.post("/$validate", content=content, headers=JSON))

    every(5000, check, mutants_of_all)
