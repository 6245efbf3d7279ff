"""FHIRPath Patch: every operation on every shape of element."""

from decimal import Decimal

import pytest
from patch_builders import BIRTH_TIME, GIVEN, PATIENT, operation, parts, patched, refused

from r4.patch import fhirpath_patch


def test_no_operation_changes_nothing_and_returns_a_copy() -> None:
    found = fhirpath_patch.apply(PATIENT, {"resourceType": "Parameters"})
    assert found["name"][0]["given"] == ["Ada", None, "Ada"]
    found["name"][0]["given"].append("x")
    assert PATIENT["name"][0]["given"] == ["Ada", None, "Ada"]


# Primitives and what stands beside them


def test_equal_primitives_are_told_apart() -> None:
    found = patched(operation("replace", f"{GIVEN}[2]", value={"valueString": "Bea"}))
    assert found["name"][0]["given"] == ["Ada", None, "Bea"]
    found = patched(operation("delete", "Patient.identifier.where(use = 'old').value"))
    assert [each.get("value") for each in found["identifier"]] == ["1", None]


def test_extensions_keep_to_their_primitive() -> None:
    beside = PATIENT["name"][0]["_given"][1]
    name = patched(operation("move", GIVEN, source=1, destination=2))["name"][0]
    assert name["given"] == ["Ada", "Ada", None]
    assert name["_given"] == [None, None, beside]
    name = patched(operation("delete", f"{GIVEN}[0]"))["name"][0]
    assert name["given"] == [None, "Ada"]
    assert name["_given"] == [beside, None]
    value = {"valueString": "Zoe", "_valueString": {"id": "z"}}
    name = patched(operation("insert", GIVEN, value=value, index=1))["name"][0]
    assert name["given"] == ["Ada", "Zoe", None, "Ada"]
    assert name["_given"] == [None, {"id": "z"}, beside, None]


def test_replacing_a_primitive_replaces_its_extensions() -> None:
    found = patched(operation("replace", "Patient.birthDate", value={"valueDate": "2018-01-22"}))
    assert found["birthDate"] == "2018-01-22"
    assert "_birthDate" not in found


def test_deleting_a_primitive_deletes_its_extensions() -> None:
    found = patched(operation("delete", "Patient.birthDate"))
    assert found.keys().isdisjoint({"birthDate", "_birthDate"})


def test_an_extension_of_a_primitive_can_be_reached() -> None:
    path = f"Patient.birthDate.extension('{BIRTH_TIME}').value"
    found = patched(operation("replace", path, value={"valueDateTime": "2018-01-21T09:00:00Z"}))
    assert found["_birthDate"]["extension"][0]["valueDateTime"] == "2018-01-21T09:00:00Z"
    found = patched(operation("delete", f"Patient.birthDate.extension('{BIRTH_TIME}')"))
    assert found["birthDate"] == "2018-01-21"
    assert "_birthDate" not in found


def test_a_primitive_without_extensions_can_be_given_one() -> None:
    value = parts(url={"valueUri": "http://example.org/c"}, value={"valueBoolean": True})
    found = patched(operation("add", "Patient.active", name="extension", value=value))
    assert found["active"] is True
    extension = {"url": "http://example.org/c", "valueBoolean": True}
    assert found["_active"] == {"extension": [extension]}


def test_a_value_of_only_extensions_can_be_added() -> None:
    unknown = {"extension": [{"url": "http://example.org/unknown", "valueBoolean": True}]}
    value = {"_valueCode": unknown}
    found = patched(operation("add", "Patient", name="gender", value=value))
    assert "gender" not in found
    assert found["_gender"] == unknown


# Choice types


def test_a_choice_gets_the_suffix_of_its_type() -> None:
    observation = {"resourceType": "Observation", "status": "final"}
    quantity = {"value": Decimal("1.50"), "code": "kg"}
    add = operation("add", "Observation", name="value", value={"valueQuantity": quantity})
    found = patched(add, resource=observation)
    assert found == observation | {"valueQuantity": quantity}
    replace = operation("replace", "Observation.value", value={"valueString": "much"})
    assert patched(add, replace, resource=observation) == observation | {"valueString": "much"}
    assert refused(add, add, resource=observation) == (422, "conflict", "value")


def test_a_choice_refuses_a_type_it_does_not_take() -> None:
    value = {"valueAddress": {"city": "Oxford"}}
    assert refused(operation("replace", "Patient.deceased", value=value))[0] == 422
    assert refused(operation("replace", "Patient.deceased", value=parts(x={"valueCode": "c"})))


def test_a_choice_is_named_as_the_standard_names_it() -> None:
    value = {"valueBoolean": True}
    assert refused(operation("add", "Patient", name="deceasedBoolean", value=value))[0] == 422
    assert refused(operation("delete", "Patient.deceasedBoolean")) == (422, "processing", "path")


# Values


def test_a_backbone_element_is_given_in_parts() -> None:
    telecom = {"system": "phone", "value": "1"}
    value = parts(
        name={"valueHumanName": {"text": "A"}},
        gender={"valueCode": "female", "_valueCode": {"id": "g"}},
    )
    value["part"] += [{"name": "telecom", "valueContactPoint": telecom}] * 2
    found = patched(operation("insert", "Patient.contact", value=value, index=0))
    assert found["contact"] == [
        {
            "name": {"text": "A"},
            "gender": "female",
            "_gender": {"id": "g"},
            "telecom": [telecom, telecom],
        }
    ]


def test_parts_nest_and_make_types_that_no_value_x_has() -> None:
    value = parts(status={"valueCode": "generated"}, div={"valueString": "<div/>"})
    found = patched(operation("add", "Patient", name="text", value=value))
    assert found["text"] == {"status": "generated", "div": "<div/>"}
    inner = parts(url={"valueUri": "inner"}, value={"valueInteger": 1})
    value = parts(url={"valueUri": "http://example.org/nested"}, extension=inner)
    found = patched(operation("add", "Patient", name="extension", value=value))
    nested = {
        "url": "http://example.org/nested",
        "extension": [{"url": "inner", "valueInteger": 1}],
    }
    assert found["extension"][1] == nested


def test_a_contained_resource_is_given_as_resource() -> None:
    contained = {"resourceType": "Organization", "id": "p"}
    value = {"resource": contained}
    found = patched(operation("add", "Patient", name="contained", value=value))
    assert found["contained"][1] == contained
    assert refused(operation("add", "Patient", name="maritalStatus", value=value))[0] == 422
    assert refused(operation("add", "Patient", name="contained", value=parts(id={"valueId": "p"})))


def test_a_value_may_be_of_a_specialised_type_but_of_no_other() -> None:
    replaced = patched(operation("replace", "Patient.name.family", value={"valueCode": "x"}))
    assert replaced["name"][0]["family"] == "x"
    for value in ({"valueInteger": 1}, {"valueCoding": {"code": "x"}}, {"valueUri": "x"}):
        assert refused(operation("replace", "Patient.name.family", value=value))[2] == "value"
    value = {"valueHumanName": {"text": "x"}}
    assert refused(operation("add", "Patient", name="contact", value=value))[0] == 422


# Where


def test_elements_are_found_by_any_fhirpath() -> None:
    path = "Patient.managingOrganization.resolve().name | {}"
    found = patched(operation("replace", path, value={"valueString": "New"}))
    assert found["contained"][0]["name"] == "New"
    found = patched(operation("delete", "descendants().where($this = 'Example')"))
    assert "family" not in found["name"][0]


def test_a_resource_is_patched_by_relative_paths_too() -> None:
    assert patched(operation("delete", "active")).keys() == PATIENT.keys() - {"active"}
    found = patched(operation("move", "identifier", source=0, destination=1))
    assert [each["use"] for each in found["identifier"]] == ["old", "usual"]


def test_an_element_that_loses_all_content_goes() -> None:
    patient = {"resourceType": "Patient", "contact": [{"name": {"text": "A"}}]}
    emptied = operation("delete", "Patient.contact[0].name.text")
    assert patched(emptied, resource=patient) == {"resourceType": "Patient"}
    refilled = operation("add", "Patient.contact.name", name="text", value={"valueString": "B"})
    assert patched(emptied, refilled, resource=patient)["contact"] == [{"name": {"text": "B"}}]


def test_deleting_what_is_not_there_is_no_error() -> None:
    assert patched(operation("delete", "Patient.gender")).keys() == PATIENT.keys()


def test_a_list_may_begin_empty() -> None:
    value = {"valueContactPoint": {"value": "1"}}
    found = patched(operation("insert", "Patient.telecom", value=value, index=0))
    assert found["telecom"] == [{"value": "1"}]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient.birthDate(", 400, "invalid"),
        ("Patient.gender", 422, "not-found"),
        ("Patient.birthdate", 422, "processing"),
        ("Observation.status", 422, "processing"),
        ("Patient.identifier", 422, "multiple-matches"),
        ("Patient", 422, "processing"),
        ("'text'", 422, "processing"),
        ("now()", 422, "processing"),
        ("%resource.id.length()", 422, "processing"),
    ],
)
def test_a_path_must_select_one_element_to_replace(path: str, status: int, code: str) -> None:
    changed = operation("replace", path, value={"valueString": "x"})
    assert refused(operation("delete", "Patient.active"), changed) == (status, code, "path")


def test_only_one_element_can_be_deleted_and_never_the_resource() -> None:
    assert refused(operation("delete", "Patient.identifier"))[1] == "multiple-matches"
    assert refused(operation("delete", "Patient"))[0] == 422


@pytest.mark.parametrize(
    "path",
    [
        "Patient.birthDate",
        "Patient.unknown",
        "Patient.identifier.where(use = 'old')",
        "Patient.identifier.value.extension",
        "Patient.identifier // as in Patient.name",
        "Patient",
        "identifier[0]",
        "(",
    ],
)
def test_insert_and_move_want_the_path_of_a_list(path: str) -> None:
    given = {"valueIdentifier": {"value": "2"}}
    for each in (
        operation("insert", path, value=given, index=0),
        operation("move", path, source=0, destination=0),
    ):
        status, _, part = refused(each)
        assert (status, part) == (400 if path == "(" else 422, "path")


def test_an_index_lies_within_its_list() -> None:
    value = {"valueIdentifier": {"value": "2"}}
    insert = operation("insert", "Patient.identifier", value=value, index=3)
    assert refused(insert) == (422, "processing", "index")
    for name in ("source", "destination"):
        indices = {"source": 0, "destination": 0, name: 2}
        assert refused(operation("move", "Patient.identifier", **indices))[2] == name


def test_add_wants_one_owner_and_an_element_that_is_free() -> None:
    value = {"valueDate": "2020-01-01"}
    assert refused(operation("add", "Patient", name="birthDate", value=value))[1] == "conflict"
    assert refused(operation("add", "Patient", name="birthday", value=value))[0] == 422
    assert refused(operation("add", "Patient.birthDate", name="value", value=value))[0] == 422
    several = operation(
        "add", "Patient.identifier", name="period", value={"valuePeriod": {"id": "p"}}
    )
    assert refused(several) == (422, "multiple-matches", "path")


def test_a_resource_that_is_no_valid_fhir_is_refused_not_broken() -> None:
    odd = {"resourceType": "Patient", "identifier": {"value": "1"}, "name": "Ada"}
    value = {"valueIdentifier": {"value": "2"}}
    assert refused(operation("add", "Patient", name="identifier", value=value), resource=odd)
    assert refused(operation("delete", "Patient.name"), resource=odd)


def test_what_r4_does_not_define_cannot_be_changed() -> None:
    unknown = {"resourceType": "Patient", "contained": [{"resourceType": "Nope", "x": "1"}]}
    value = {"valueString": "2"}
    replace = operation("replace", "Patient.contained.x", value=value)
    assert refused(replace, resource=unknown) == (422, "processing", "path")
    add = operation("add", "Patient.contained", name="y", value=value)
    assert refused(add, resource=unknown) == (422, "processing", "value")
