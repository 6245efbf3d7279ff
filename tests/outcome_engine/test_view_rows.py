"""Rows of the registry's views, from the examples of messages, notes, profiles and outcomes."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.simulate import tables
from fhir_server.simulate.bundles import bundle
from fhir_server.simulate.cohort import plan
from fhir_server.simulate.feed import timeline
from outcome_engine import staging
from outcome_engine.views.rows import compiled, rows
from outcome_engine.views.view import read, view, views
from r4.issue import FhirError
from r4.json import decode
from tests.support.stored import stored, stored_examples
from tests.support.view_resources import OBSERVATION, ODD, PROCEDURE

ID = {"name": "id", "path": "getResourceKey()", "type": "id"}
THIS = {"name": "this", "path": "$this", "type": "string"}
PATIENTS: list[dict[str, Any]] = [
    {"resourceType": "Observation", "id": "0"},
    {"resourceType": "Patient", "id": "1", "active": True, "birthDate": "2020"},
    {
        "resourceType": "Patient",
        "id": "2",
        "active": True,
        "deceasedDateTime": "2021",
        "name": [
            {"use": "usual", "family": "Ada", "given": ["May", "Bo"]},
            {"family": "Lee", "given": [None, "Jo"], "_given": [{"id": "x"}, None]},
        ],
        "contact": [{"name": {"family": "Kay"}}, {"gender": "female"}],
        "link": [{"other": {"reference": "Patient/1"}}, {"other": {"reference": "Patient/3"}}],
        "managingOrganization": {"reference": "Organization/o"},
    },
]
NOT_IN_EXAMPLES = {
    "case": {"end"},
    "observation-component": {
        "value_boolean", "value_integer", "value_comparator", "value_string", "value_date",
    },
}  # fmt: skip
"""Columns that no example fills, and the tests below do."""


SENT = {
    "patient": ("birth_date", "gender", "deceased", "date"),
    "case": ("patient", "status", "hospital", "type_system", "type_code"),
    "procedure": ("patient", "status", "encounter", "code_system", "code_code"),
    "observation": ("patient", "status", "value_decimal", "value_unit"),
    "encounter": ("patient", "end", "class", "hospital", "admission_method", "discharge_method"),
}
"""What the simulator's hospitals send as FHIR transactions."""


def flattened(view_id: str, resource: dict[str, Any]) -> list[dict[str, Any]]:
    return rows(view(view_id), [resource])


@pytest.mark.parametrize("view_id", views())
def test_what_messages_and_notes_write_fills_every_column(view_id: str) -> None:
    found = rows(view(view_id), stored_examples())
    empty = {name for name in found[0] if all(row[name] is None for row in found)}
    assert empty == NOT_IN_EXAMPLES.get(view_id, set())
    assert all(row["id"] for row in found)


def test_what_a_hospital_with_fhir_sends_has_its_columns() -> None:
    hospital = tables.hospitals()[0]
    children = plan(seed=1, start=date(2020, 1, 1), years=1, size=0.05)
    resources = [
        resource
        for event in timeline(children, datetime(2026, 1, 1, tzinfo=UTC))
        if event.kind in ("register", "admit", "operate", "discharge", "observe")
        for resource in stored(bundle(hospital, event))
    ]
    for view_id, columns in SENT.items():
        found = rows(view(view_id), resources)
        assert len(found) > 20
        for column in columns:
            assert any(row[column] is not None for row in found), (view_id, column)
        assert all(staging.day(row["date"]) for row in found if view_id != "patient")


def test_a_row_for_each_coding_of_a_procedure() -> None:
    extension = "https://csor.example/fhir/StructureDefinition/procedure-"
    resource = {
        "resourceType": "Procedure",
        "id": "pull-through",
        "extension": [
            {
                "url": f"{extension}urgency",
                "valueCodeableConcept": {"coding": [{"code": "planned"}]},
            },
            {"url": f"{extension}stage", "valueCodeableConcept": {"coding": [{"code": "first"}]}},
        ],
        "status": "completed",
        "code": {"coding": [{"system": "a", "code": "1"}, {"system": "b", "code": "2"}]},
        "subject": {"reference": "Patient/child"},
        "encounter": {"reference": "Encounter/stay"},
        "performedPeriod": {"start": "2020-02-01T09:00:00Z", "end": "2020-02-01T11:30:00Z"},
    }
    row = {
        "id": "pull-through", "patient": "child", "date": "2020-02-01T09:00:00Z",
        "end": "2020-02-01T11:30:00Z", "status": "completed", "urgency": "planned",
        "laterality": None, "stage": "first", "encounter": "stay",
    }  # fmt: skip
    assert flattened("procedure", resource) == [
        row | {"code_system": "a", "code_code": "1"},
        row | {"code_system": "b", "code_code": "2"},
    ]
    words = resource | {"code": {"text": "an operation"}}
    assert flattened("procedure", words) == [row | {"code_system": None, "code_code": None}]


def test_a_child_is_dead_by_date_or_by_statement_and_otherwise_not_known() -> None:
    def told(**elements: Any) -> tuple[Any, Any]:
        [row] = flattened("patient", {"resourceType": "Patient", "id": "a", **elements})
        assert (row["id"], row["patient"]) == ("a", "a")
        return row["deceased"], row["date"]

    assert told(deceasedDateTime="2021-03-04") == (True, "2021-03-04")
    assert told(deceasedBoolean=True) == (True, None)
    assert told(deceasedBoolean=False) == (False, None)
    assert told() == (None, None)


def test_the_date_of_a_condition_is_its_onset_or_when_it_was_recorded() -> None:
    def dated(**elements: Any) -> Any:
        [row] = flattened("condition", {"resourceType": "Condition", "id": "a", **elements})
        return row["date"]

    recorded = {"recordedDate": "2020-05-01"}
    assert dated(onsetDateTime="2020-04", **recorded) == "2020-04"
    assert dated(onsetPeriod={"start": "2020-04-02"}, **recorded) == "2020-04-02"
    assert dated(onsetString="at birth", **recorded) == "2020-05-01"
    assert dated() is None


def test_the_columns_of_a_component_are_its_own_and_its_decimals_exact() -> None:
    resource = decode("""{
      "resourceType": "Observation", "id": "score", "status": "final",
      "code": {"coding": [{"system": "s", "code": "whole"}]}, "valueInteger": 7,
      "effectiveInstant": "2020-02-01T09:00:00.250+01:00",
      "component": [
        {"code": {"coding": [{"system": "s", "code": "one"}]},
         "valueQuantity": {"value": 1.10, "comparator": "<", "code": "kg"}},
        {"code": {"text": "words"}, "valueBoolean": false},
        {"code": {"coding": [{"code": "three"}]}, "valueDateTime": "2020-01"},
        {"code": {"coding": [{"code": "four"}]}, "valueString": "four"},
        {"code": {"coding": [{"code": "five"}]}, "valueInteger": 5}]}""")
    found = flattened("observation-component", resource)
    assert [row["component_code"] for row in found] == ["one", None, "three", "four", "five"]
    assert [row["value_integer"] for row in found] == [None, None, None, None, 5]
    assert [str(row["value_decimal"]) for row in found][:2] == ["1.10", "None"]
    assert found[0]["value_comparator"] == "<"
    assert found[1]["value_boolean"] is False
    assert (found[2]["value_date"], found[3]["value_string"]) == ("2020-01", "four")
    assert {row["date"] for row in found} == {"2020-02-01T09:00:00.250+01:00"}
    assert {row["code_code"] for row in found} == {"whole"}


def test_how_a_stay_began_and_ended() -> None:
    uk = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"

    def concept(code: str) -> dict[str, Any]:
        return {"coding": [{"code": code}]}

    resource = {
        "resourceType": "Encounter",
        "id": "stay",
        "status": "finished",
        "class": {"code": "IMP"},
        "serviceProvider": {"reference": "Organization/trust"},
        "extension": [{"url": f"{uk}DischargeMethod", "valueCodeableConcept": concept("1")}],
        "hospitalization": {
            "extension": [{"url": f"{uk}AdmissionMethod", "valueCodeableConcept": concept("21")}],
            "admitSource": concept("19"),
            "dischargeDisposition": concept("51"),
        },
    }
    [row] = flattened("encounter", resource)
    assert row == {
        "id": "stay", "patient": None, "date": None, "end": None, "status": "finished",
        "class": "IMP", "hospital": "trust", "admission_method": "21", "admission_source": "19",
        "discharge_method": "1", "discharge_destination": "51",
    }  # fmt: skip


def test_a_reference_to_another_server_or_type_is_no_key() -> None:
    def patient(reference: str) -> Any:
        condition = {"resourceType": "Condition", "subject": {"reference": reference}}
        return flattened("condition", condition)[0]["patient"]

    assert patient("Patient/a") == "a"
    assert patient("Patient/a/_history/2") == "a"
    assert patient("http://elsewhere.example/fhir/Patient/a") is None
    assert patient("Group/a") is None


@pytest.mark.parametrize("view_id", views())
def test_compiled_gives_the_same_rows_as_the_specification(view_id: str) -> None:
    own = view(view_id)
    flatten = compiled(own)
    found = [row for resource in stored_examples() for row in flatten(resource)]
    assert found
    assert found == [tuple(row.values()) for row in rows(own, stored_examples())]


@settings(max_examples=25, deadline=None)
@given(st.lists(ODD | OBSERVATION | PROCEDURE, min_size=1, max_size=10))
def test_compiled_gives_the_same_rows_of_whatever_a_resource_holds(
    resources: list[dict[str, Any]],
) -> None:
    for view_id in ("observation", "observation-component", "procedure"):
        flatten = compiled(view(view_id))
        found = [row for resource in resources for row in flatten(resource)]
        assert found == [tuple(row.values()) for row in rows(view(view_id), resources)]


def test_two_forms_of_a_choice_are_refused_by_compiled_as_well() -> None:
    both = {"effectiveDateTime": "2020", "effectivePeriod": {"start": "2019"}}
    for flatten in (compiled(view("observation")), lambda r: rows(view("observation"), [r])):
        with pytest.raises(FhirError, match="Column `date` finds several values"):
            flatten({"resourceType": "Observation", **both})


FORMS: list[dict[str, Any]] = [
    {"column": [{"name": "a", "path": "name.where(use = 'usual').family", "type": "string"}]},
    {"column": [{"name": "a", "path": "name.given", "type": "string", "collection": True}]},
    {"column": [{"name": "a", "path": "name.given.first()", "type": "string"}]},
    {"column": [{"name": "a", "path": "name.first().given.first()", "type": "string"}]},
    {"column": [{"name": "a", "path": "(birthDate | deceased.ofType(dateTime)).first()"}]},
    {"column": [{"name": "a", "path": "%rowIndex"}], "select": [{"column": [ID]}]},
    {"forEach": "name.given", "column": [{"name": "a", "path": "$this"}]},
    {"forEach": "name.given", "column": [{"name": "a", "path": "%rowIndex"}]},
    {"forEachOrNull": "contact.name", "column": [{"name": "a", "path": "family"}]},
    {"forEachOrNull": "contact", "column": [{"name": "a", "path": "name.given.first()"}]},
    {"forEach": "name", "select": [{"column": [ID]}, {"forEach": "given", "column": [THIS]}]},
    {"forEach": "name | contact.name", "column": [{"name": "a", "path": "family"}]},
    {"unionAll": [{"column": [ID]}, {"forEach": "name", "column": [ID]}]},
    {"repeat": ["name"], "column": [{"name": "a", "path": "family"}]},
    {"column": [{"name": "a", "path": "%b"}]},
    {"column": [{"name": "a", "path": "link.other.getReferenceKey().first()"}]},
    {"column": [{"name": "a", "path": "managingOrganization.getReferenceKey()"}]},
    {"column": [{"name": "a", "path": "managingOrganization.getReferenceKey(`a)\n raise('`)"}]},
    {"column": [{"name": "a", "path": "extension('\\'\\\\\" + 1').value.ofType(string)"}]},
    {"column": [{"name": "a", "path": "unheard"}]},
    {"column": [{"name": "a", "path": "Patient.birthDate"}]},
]


@pytest.mark.parametrize("where", [[], [{"path": "active"}]], ids=["all", "filtered"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form)[:60])
def test_compiled_gives_the_same_rows_of_every_form_of_view(
    form: dict[str, Any], where: list[dict[str, str]]
) -> None:
    constant = [{"name": "b", "valueCode": "c"}]
    definition = {"resource": "Patient", "select": [form], "where": where, "constant": constant}
    found = [row for resource in PATIENTS for row in compiled(read(definition))(resource)]
    assert found == [tuple(row.values()) for row in rows(definition, PATIENTS)]
    assert found or form.get("repeat")


def test_several_values_in_one_row_are_refused_by_the_name_of_the_column() -> None:
    column = {"name": "given", "path": "name.given", "type": "string"}
    resource = {"resourceType": "Patient", "name": [{"given": ["Ada", "May"]}]}
    with pytest.raises(FhirError) as refused:
        rows({"resource": "Patient", "select": [{"column": [column]}]}, [resource])
    [issue] = refused.value.issues
    assert (refused.value.status, issue.expression) == (
        422,
        "ViewDefinition.select[0].column[0].path",
    )
    assert "`given`" in issue.diagnostics


def test_a_filter_that_gives_no_boolean_is_refused() -> None:
    column = {"name": "id", "path": "id", "type": "id"}
    definition = {
        "resource": "Patient",
        "select": [{"column": [column]}],
        "where": [{"path": "gender"}],
    }
    with pytest.raises(FhirError, match="`gender`"):
        rows(definition, [{"resourceType": "Patient", "gender": "female"}])
    assert rows(definition, [{"resourceType": "Patient"}]) == []
