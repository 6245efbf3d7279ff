"""JSON Patch: what RFC 6902 leaves to its readers, and how it fails."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r4.issue import FhirError
from r4.json import decode, encode
from r4.patch import json_patch

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Example", "given": ["Ada", "Bea"]}],
    "active": True,
}


def patched(*operations: Any, resource: Any = PATIENT) -> Any:
    before = deepcopy((resource, operations))
    try:
        return json_patch.apply(resource, list(operations))
    finally:
        assert (resource, operations) == before


def refused(*operations: Any, resource: Any = PATIENT) -> tuple[int, str, str, str | None]:
    with pytest.raises(FhirError) as caught:
        patched(*operations, resource=resource)
    (issue,) = caught.value.issues
    return caught.value.status, issue.code, issue.diagnostics, issue.expression


def test_decimals_keep_their_digits() -> None:
    resource = decode(b'{"resourceType":"Observation","valueQuantity":{"value":1.50}}')
    operation = decode(b'[{"op":"add","path":"/referenceRange","value":[{"low":{"value":0.10}}]}]')
    text = encode(json_patch.apply(resource, operation))
    assert b'"value":1.50' in text
    assert b'"value":0.10' in text


def test_test_compares_numbers_by_value_and_nothing_else_across_types() -> None:
    resource = {"value": Decimal("1.0"), "flag": True, "list": [1, {"a": None}]}
    patched({"op": "test", "path": "/value", "value": 1}, resource=resource)
    same = [Decimal(1), {"a": None}]
    patched({"op": "test", "path": "/list", "value": same}, resource=resource)
    for path, value in [("/flag", 1), ("/value", "1.0"), ("/list", [1]), ("/list/1", {})]:
        status, code, _, _ = refused(
            {"op": "test", "path": path, "value": value}, resource=resource
        )
        assert (status, code) == (422, "conflict")


def test_escapes_name_members_with_slashes_and_tildes() -> None:
    found = patched({"op": "replace", "path": "/a~1b/~01", "value": 2}, resource={"a/b": {"~1": 1}})
    assert found == {"a/b": {"~1": 2}}


def test_a_later_operation_never_reaches_back_into_the_patch() -> None:
    operations = (
        {"op": "add", "path": "/contact", "value": [{"gender": "female"}]},
        {"op": "copy", "from": "/contact/0", "path": "/contact/-"},
        {"op": "replace", "path": "/contact/1/gender", "value": "male"},
    )
    assert patched(*operations)["contact"] == [{"gender": "female"}, {"gender": "male"}]


def test_moving_onto_itself_changes_nothing() -> None:
    assert patched({"op": "move", "from": "/name/0", "path": "/name/0"}) == PATIENT


def test_the_whole_resource_may_be_replaced_by_another_object() -> None:
    other = {"resourceType": "Patient"}
    assert patched({"op": "replace", "path": "", "value": other}) == other
    assert patched({"op": "add", "path": "", "value": other}) == other


@pytest.mark.parametrize(
    "operation",
    [
        "add",
        {},
        {"op": "increment", "path": "/active"},
        {"op": ["add"], "path": "/active", "value": 1},
        {"op": "add", "path": "/active"},
        {"op": "add", "value": 1},
        {"op": "add", "path": None, "value": 1},
        {"op": "add", "path": "active", "value": 1},
        {"op": "add", "path": "/a~2", "value": 1},
        {"op": "move", "path": "/active"},
    ],
)
def test_a_patch_that_is_not_well_formed_is_a_400(operation: Any) -> None:
    status, code, diagnostics, expression = refused(
        {"op": "test", "path": "/active", "value": True}, operation
    )
    assert (status, code, expression) == (400, "structure", "operation[1]")
    assert diagnostics


def test_a_patch_must_be_an_array() -> None:
    with pytest.raises(FhirError) as caught:
        json_patch.apply(PATIENT, {"op": "remove", "path": "/active"})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ({"op": "remove", "path": "/gender"}, "/gender"),
        ({"op": "remove", "path": "/name/1"}, "/name/1"),
        ({"op": "remove", "path": "/name/-"}, "/name/-"),
        ({"op": "remove", "path": "/name/00"}, "/name/00"),
        ({"op": "replace", "path": "/gender", "value": "male"}, "/gender"),
        ({"op": "add", "path": "/name/2", "value": {}}, "/name/2"),
        ({"op": "add", "path": "/name/x", "value": {}}, "/name/x"),
        ({"op": "add", "path": "/active/x", "value": {}}, "/active/x"),
        ({"op": "add", "path": "/a~0~1b/c", "value": {}}, "/a~0~1b"),
        ({"op": "copy", "from": "/gender", "path": "/sex"}, "/gender"),
        ({"op": "move", "from": "/name", "path": "/name/0"}, "/name/0"),
    ],
)
def test_a_pointer_that_leads_nowhere_is_a_422_that_shows_it(operation: Any, pointer: str) -> None:
    status, _, diagnostics, expression = refused(operation)
    assert (status, expression) == (422, "operation[0]")
    assert f"`{pointer}`" in diagnostics


@pytest.mark.parametrize(
    "operation", [{"op": "remove", "path": ""}, {"op": "replace", "path": "", "value": []}]
)
def test_the_outcome_must_be_an_object(operation: Any) -> None:
    assert refused(operation)[0] == 422


def test_copies_of_copies_come_to_an_end() -> None:
    double = {"op": "copy", "from": "/name", "path": "/name/-"}
    assert patched(double)["name"][1] == PATIENT["name"]
    status, code, _, _ = refused(*[double] * 64)
    assert (status, code) == (422, "too-costly")


def test_a_resource_nested_too_deeply_is_refused() -> None:
    resource: Any = {}
    for _ in range(5_000):
        resource = {"extension": resource}
    with pytest.raises(FhirError) as caught:
        json_patch.apply(resource, [])
    assert caught.value.status == 422


KEYS = st.sampled_from(["", "a", "b", "/", "~", "~1", "-", "0", "1", "01"])
LEAVES = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
POINTERS = st.lists(KEYS, max_size=4).map(json_patch._text) | st.text(max_size=4)
NAMES = st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "other"])
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"op": NAMES, "path": POINTERS, "from": POINTERS, "value": VALUES}
    )
    | VALUES,
    max_size=5,
)


@settings(deadline=None)
@given(DOCUMENTS, OPERATIONS)
def test_any_patch_either_applies_or_is_a_fhir_error(document: Any, operations: Any) -> None:
    before = deepcopy((document, operations))
    try:
        status, found = 200, json_patch.apply(document, operations)
    except FhirError as problem:
        status, found = problem.status, {}
    assert status in (200, 400, 422)
    assert isinstance(found, dict)
    assert (document, operations) == before


@settings(deadline=None)
@given(DOCUMENTS, VALUES)
def test_what_is_added_and_removed_leaves_the_document_as_it_was(document: Any, value: Any) -> None:
    add = {"op": "add", "path": "/new", "value": value}
    found = {"op": "test", "path": "/new", "value": value}
    assert json_patch.apply(document, [add, found, {"op": "remove", "path": "/new"}]) == document


@settings(deadline=None)
@given(st.lists(VALUES, max_size=4), VALUES, st.data())
def test_what_is_inserted_and_removed_leaves_the_list_as_it_was(
    values: Any, value: Any, data: Any
) -> None:
    path = f"/list/{data.draw(st.integers(0, len(values)))}"
    operations = [{"op": "add", "path": path, "value": value}, {"op": "remove", "path": path}]
    assert json_patch.apply({"list": values}, operations) == {"list": values}
