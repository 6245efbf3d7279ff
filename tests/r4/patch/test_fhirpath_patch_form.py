"""FHIRPath Patch: what a patch must look like, and that no other patch does harm."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_builders import GIVEN, PATIENT, operation, parameters, parts, patched, refused

from r4.issue import FhirError
from r4.patch import fhirpath_patch


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        parameters("operation"),
        parameters({"name": "op", "part": []}),
        parameters({"name": "operation"}),
        parameters({"name": "operation", "part": ["x"]}),
        parameters(operation("remove", "Patient.active")),
        parameters(operation("delete", "")),
        parameters(operation("delete", "Patient.active", index=1)),
        parameters(operation("delete", "Patient.active", pathLabel="Active")),
        parameters(operation("add", "Patient", value={"valueCode": "male"})),
        parameters(operation("replace", "Patient.active")),
        parameters(operation("replace", "Patient.active", value={})),
        parameters(operation("replace", "Patient.active", value={"valueBoolean": None})),
        parameters(operation("replace", "Patient.active", value={"valueBoolean": {}})),
        parameters(operation("replace", "Patient.active", value={"valuePeriod": []})),
        parameters(operation("replace", "Patient.active", value={"valueCode": "a", "valueId": "a"})),
        parameters(operation("add", "Patient", name="contained", value={"resource": {}})),
        parameters(operation("add", "Patient", name="contact", value={"part": []})),
        parameters(operation("move", "Patient.identifier", source=-1, destination=0)),
        parameters(operation("move", "Patient.identifier", source="0", destination=0)),
    ],
)  # fmt: skip
def test_a_patch_that_is_not_well_formed_is_a_400(given: Any) -> None:
    with pytest.raises(FhirError) as caught:
        fhirpath_patch.apply(PATIENT, given)
    assert caught.value.status == 400
    assert all(issue.expression for issue in caught.value.issues)


def test_a_part_given_twice_is_a_400() -> None:
    twice = operation("delete", "Patient.active")
    twice["part"].append({"name": "path", "valueString": "Patient.id"})
    assert refused(twice) == (400, "structure", "path")


def test_a_patch_nested_too_deeply_is_refused() -> None:
    value: Any = {"valueString": "x"}
    for _ in range(2_000):
        value = parts(extension=value)
    with pytest.raises(FhirError) as caught:
        fhirpath_patch.apply(
            PATIENT, parameters(operation("add", "Patient", name="extension", value=value))
        )
    assert caught.value.status == 422


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.text(min_size=1), st.data())
def test_what_is_inserted_and_deleted_leaves_the_list_as_it_was(
    names: list[str], name: str, data: Any
) -> None:
    patient = {"resourceType": "Patient", "name": [{"given": names}]}
    index = data.draw(st.integers(0, len(names)))
    insert = operation("insert", GIVEN, value={"valueString": name}, index=index)
    assert patched(insert, resource=patient)["name"][0]["given"][index] == name
    deleted = patched(insert, operation("delete", f"{GIVEN}[{index}]"), resource=patient)
    assert deleted == patient


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "part", "valueString", "valueInteger", "_valueCode", "resource"]
            ),
            inner,
            max_size=3,
        )
    ),
)


@settings(deadline=None)
@given(st.sampled_from(["add", "insert", "replace", "delete", "move"]), JSON, st.lists(JSON))
def test_any_patch_either_applies_or_is_a_fhir_error(type: str, part: Any, listed: Any) -> None:
    value = part if isinstance(part, dict) else {"valueString": part}
    named = {"name": "name", "value": value, "index": 0, "source": 0, "destination": 0}
    wanted = {"add": ("name", "value"), "insert": ("value", "index"), "replace": ("value",)}
    held = {name: named[name] for name in wanted.get(type, ())}
    for patch in (parameters(operation(type, "Patient.name", **held)), parameters(*listed), part):
        try:
            status, found = 200, fhirpath_patch.apply(PATIENT, patch)
        except FhirError as problem:
            status, found = problem.status, {}
        assert status in (200, 400, 422)
        assert isinstance(found, dict)
