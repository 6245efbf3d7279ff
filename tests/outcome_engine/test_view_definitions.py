"""ViewDefinitions: what is refused, and by which element; and the registry's own views."""

from typing import Any

import pytest

from outcome_engine.views.view import read, view, views
from r4.issue import FhirError

ID = {"name": "id", "path": "id", "type": "id"}


def patients(**elements: Any) -> dict[str, Any]:
    return {"resource": "Patient", "select": [{"column": [ID]}], **elements}


def select(**elements: Any) -> dict[str, Any]:
    return patients(select=[elements])


def test_a_view_lists_its_columns_in_the_order_column_select_union() -> None:
    def one(name: str) -> dict[str, Any]:
        return {"column": [{"name": name, "path": "id", "type": "id"}]}

    found = read(select(unionAll=[one("c"), one("c")], select=[one("b")], **one("a")))
    assert [column.name for column in found.columns] == ["a", "b", "c"]
    assert (found.resource, found.url, found.name) == ("Patient", "", "")


@pytest.mark.parametrize(
    ("definition", "element", "said"),
    [
        ({"select": [{"column": [ID]}]}, "ViewDefinition.resource", "resource type"),
        (patients(resource="Child"), "ViewDefinition.resource", "`Child`"),
        ({"resource": "Patient"}, "ViewDefinition.select", "select"),
        (patients(select={"column": [ID]}), "ViewDefinition.select", "list"),
        (patients(columns=[]), "ViewDefinition.columns", "not an element"),
        (patients(name="the view"), "ViewDefinition.name", "letter"),
        (select(), "ViewDefinition.select[0]", "has columns"),
        (select(column=[ID], forEach=1), "ViewDefinition.select[0].forEach", "FHIRPath"),
        (select(column=[ID], forEach="@@"), "ViewDefinition.select[0].forEach", "position 0"),
        (
            select(column=[ID], forEach="name", forEachOrNull="name"),
            "ViewDefinition.select[0]",
            "one of forEach, forEachOrNull and repeat",
        ),
        (
            select(column=[ID], forEach="name", repeat=["name"]),
            "ViewDefinition.select[0]",
            "one of forEach, forEachOrNull and repeat",
        ),
        (select(column=[ID], repeat="name"), "ViewDefinition.select[0].repeat", "lists"),
        (select(column=[ID], repeat=["("]), "ViewDefinition.select[0].repeat[0]", "expected"),
        (select(column=[ID, ID]), "ViewDefinition.select[0].column[1].name", "`id`"),
        (
            select(column=[{"name": "1st", "path": "id"}]),
            "ViewDefinition.select[0].column[0].name",
            "`1st`",
        ),
        (select(column=[{"name": "a"}]), "ViewDefinition.select[0].column[0].path", "FHIRPath"),
        (
            select(column=[{"name": "a", "path": "unheardOf()"}]),
            "ViewDefinition.select[0].column[0].path",
            "a known function",
        ),
        (
            select(column=[{"name": "a", "path": "%b"}]),
            "ViewDefinition.select[0].column[0].path",
            "`%b`",
        ),
        (
            select(column=[{**ID, "collection": "yes"}]),
            "ViewDefinition.select[0].column[0].collection",
            "true or false",
        ),
        (
            select(column=[{**ID, "alias": "x"}]),
            "ViewDefinition.select[0].column[0].alias",
            "not an element",
        ),
        (
            select(unionAll=[{"column": [ID]}, {"column": [{**ID, "type": "string"}]}]),
            "ViewDefinition.select[0].unionAll[1]",
            "id (id), but here id (string)",
        ),
        (patients(constant=[{"name": "a"}]), "ViewDefinition.constant[0]", "one value[x]"),
        (
            patients(constant=[{"name": "a", "valueCode": "b"}] * 2),
            "ViewDefinition.constant[1].name",
            "two constants",
        ),
        (patients(where=[{"path": "%a = 'b'"}]), "ViewDefinition.where[0].path", "`%a`"),
        (patients(where=["active"]), "ViewDefinition.where[0]", "object"),
    ],
)
def test_what_is_wrong_is_refused_by_the_name_of_its_element(
    definition: dict[str, Any], element: str, said: str
) -> None:
    with pytest.raises(FhirError) as refused:
        read(definition)
    [issue] = refused.value.issues
    assert refused.value.status == 422
    assert issue.expression == element
    assert said in issue.diagnostics


def test_the_views_of_the_registry() -> None:
    assert set(views()) == {
        "patient", "case", "procedure", "observation", "observation-component", "condition",
        "encounter",
    }  # fmt: skip
    with pytest.raises(FhirError, match="no view `visit`; there are: case, condition"):
        view("visit")


@pytest.mark.parametrize("each", views().values(), ids=lambda each: each.id)
def test_every_view_is_shareable_tabular_and_says_whose_and_when(each: Any) -> None:
    """ShareableViewDefinition and TabularViewDefinition of SQL on FHIR, and the registry's own rule."""
    assert each.url == f"https://csor.example/fhir/ViewDefinition/{each.id}"
    assert each.name
    assert each.definition["fhirVersion"] == ["4.0.1"]
    assert [column.name for column in each.columns][:3] == ["id", "patient", "date"]
    assert all(column.type and not column.collection for column in each.columns)
    described = [column for select in each.definition["select"] for column in _columns(select)]
    assert len(described) == len(each.columns)
    assert all(column["description"] for column in described)


def _columns(select: dict[str, Any]) -> list[dict[str, Any]]:
    nested = [column for each in select.get("select", []) for column in _columns(each)]
    return [*select.get("column", []), *nested]
