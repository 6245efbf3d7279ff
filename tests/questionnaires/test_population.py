"""What $populate fills in by expression and by default, and what it leaves empty."""

import pytest

from questionnaires.population import Populated, populate
from r4.issue import FhirError
from r4.json import Resource
from tests.questionnaires.populating import (
    CHILD,
    CORE,
    NOW,
    SDC,
    Asked,
    expression,
    form,
    initially,
    launch,
    populated,
    question,
    values,
    variable,
)


def test_a_response_is_a_draft_of_the_form_about_the_child() -> None:
    made = populated(form(question("a", "string", initially("%patient.name.first().family"))))
    assert made == Populated(
        {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": "https://example.org/form|2",
            "status": "in-progress",
            "subject": {"reference": "Patient/c1"},
            "authored": NOW,
            "item": [{"linkId": "a", "answer": [{"valueString": "Ŵyn"}]}],
        },
        [],
    )


def test_the_child_is_read_when_only_the_subject_is_given() -> None:
    asked = Asked(Patient=[CHILD])
    questionnaire = form(question("born", "date", initially("%patient.birthDate")))
    subject = {"reference": "Patient/c1"}
    made = populate(questionnaire, subject=subject, contexts={}, find=asked, now=NOW)
    assert values(made, "born") == ["2026-05-01"]
    assert asked == ["Patient/c1"]


def test_a_group_repeats_for_each_row_of_its_population_context() -> None:
    context = expression(SDC + "itemPopulationContext", "%patient.name", name="each")
    given = question("given", "string", initially("%each.given"), repeats=True)
    family = question("family", "string", initially("%each.family"))
    names = question("name", "group", context, repeats=True, item=[family, given])
    made = populated(form(names))
    assert [
        [[answer["valueString"] for answer in item["answer"]] for item in group["item"]]
        for group in made.response["item"]
    ] == [[["Ŵyn"], ["Ann", "Bea"]], [["Other"], ["Cat"]]]


def test_a_group_without_rows_is_not_there_and_its_defaults_neither() -> None:
    context = expression(SDC + "itemPopulationContext", "%patient.contact", name="each")
    default = question("kind", "string", initial=[{"valueString": "relative"}])
    made = populated(form(question("contact", "group", context, repeats=True, item=[default])))
    assert "item" not in made.response
    assert made.issues == []


def test_a_query_fills_a_variable_with_its_searchset_and_a_group_with_its_rows() -> None:
    problem = {"resourceType": "Condition", "id": "k", "code": {"text": "Jaundice"}}
    asked = Asked(Condition=[problem])
    query = "Condition?patient={{%patient.id}}"
    language = "application/x-fhir-query"
    context = expression(SDC + "itemPopulationContext", query, language, name="row")
    questionnaire = form(
        question("number", "integer", initially("%problems.total")),
        question(
            "problem", "group", context, repeats=True,
            item=[question("text", "string", initially("%row.code.text"))],
        ),
        extension=(variable("problems", query, language=language),),
    )  # fmt: skip
    made = populated(questionnaire, asked)
    assert (values(made, "number"), values(made, "text")) == ([1], ["Jaundice"])
    assert asked == ["Condition?patient=c1"]  # once, though two parts of the form want it


def test_source_queries_are_asked_as_a_batch_and_named_by_its_id() -> None:
    batch = {
        "resourceType": "Bundle",
        "id": "Sources",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": "Patient?_id={{%patient.id}}"}},
            {"request": {"method": "GET", "url": "Condition?patient={{%patient.id}}"}},
        ],
    }
    questionnaire = form(
        question("n", "integer", initially("%Sources.entry[1].resource.total")),
        contained=[batch],
        extension=(
            {"url": SDC + "sourceQueries", "valueReference": {"reference": "#Sources"}},
        ),
    )  # fmt: skip
    asked = Asked(Condition=[{"resourceType": "Condition", "id": i} for i in "ab"])
    assert values(populated(questionnaire, asked), "n") == [2]
    assert asked == ["Patient?_id=c1", "Condition?patient=c1"]
    handed = {
        "resourceType": "Bundle",
        "entry": [{}, {"resource": {"resourceType": "Bundle", "total": 7}}],
    }
    given = Asked()
    assert values(populated(questionnaire, given, sourceQueries=handed), "n") == [7]
    assert given == []


def test_what_fails_leaves_its_question_empty_says_so_and_stops_nothing_else() -> None:
    questionnaire = form(
        question("wrong", "string", initially("%nobody.name")),
        question("unread", "string", initially("name..family")),
        question(
            "refused", "reference", initially("Forbidden?x=1", language="application/x-fhir-query")
        ),
        question("cql", "string", initially("Patient.name", language="text/cql")),
        question("mistyped", "integer", initially("%patient.birthDate")),
        question("several", "string", initially("%patient.name.given")),
        question("right", "string", initially("%patient.name.first().family")),
    )
    made = populated(questionnaire)
    assert [item["linkId"] for item in made.response["item"]] == ["right"]
    told = {issue.expression: issue for issue in made.issues}
    assert [place.split("'")[1] for place in map(str, told)] == [
        "wrong", "unread", "refused", "cql", "mistyped", "several",
    ]  # fmt: skip
    assert {issue.severity for issue in made.issues} == {"warning"}
    assert "3 values are found where one is asked for" in made.issues[-1].diagnostics


def test_a_launch_context_that_is_missing_is_empty_and_one_of_another_type_is_told_of() -> None:
    questionnaire = form(
        question("ward", "string", initially("%encounter.location.first().location.display")),
        extension=(launch("encounter", "Encounter"), launch("clinical", "Condition")),
    )
    assert populated(questionnaire).issues == []
    made = populated(questionnaire, clinical=CHILD, unknown=CHILD)
    assert [(issue.severity, issue.code) for issue in made.issues] == [
        ("warning", "invalid"),
        ("information", "informational"),
    ]


def test_a_disabled_question_is_absent_and_one_that_an_answer_enables_is_filled() -> None:
    when = {"question": "late", "operator": "=", "answerBoolean": True}
    questionnaire = form(
        question("on", "string", initial=[{"valueString": "x"}], enableWhen=[when]),
        question(
            "off", "string", initial=[{"valueString": "x"}], enableWhen=[{**when, "answerBoolean": False}]
        ),
        question("late", "boolean", initially("%patient.birthDate.exists()")),
    )  # fmt: skip
    made = populated(questionnaire)
    assert [item["linkId"] for item in made.response["item"]] == ["on", "late"]


def test_defaults_are_initial_values_or_the_options_selected_at_first() -> None:
    options = [
        {"valueCoding": {"code": "a"}},
        {"valueCoding": {"code": "b"}, "initialSelected": True},
    ]
    questionnaire = form(
        question("text", "string", initial=[{"valueString": "YUP"}]),
        question(
            "many", "string", initial=[{"valueString": "1"}, {"valueString": "2"}], repeats=True
        ),
        question("option", "choice", answerOption=options),
        question("both", "string", initially("%patient.id"), initial=[{"valueString": "default"}]),
    )
    made = populated(questionnaire)
    assert [values(made, each) for each in ("text", "many", "option", "both")] == [
        ["YUP"], ["1", "2"], [{"code": "b"}], ["c1"],
    ]  # fmt: skip


def test_answers_below_an_answer_are_filled_once_it_is_there() -> None:
    below = question("below", "string", initially("%patient.id"))
    questionnaire = form(
        question("given", "string", initial=[{"valueString": "x"}], item=[below]),
        question("empty", "string", item=[{**below, "linkId": "none"}]),
    )
    made = populated(questionnaire)
    assert made.response["item"] == [
        {
            "linkId": "given",
            "answer": [
                {
                    "valueString": "x",
                    "item": [{"linkId": "below", "answer": [{"valueString": "c1"}]}],
                }
            ],
        }
    ]


def test_what_is_calculated_draws_on_what_was_filled_in_wherever_it_stands() -> None:
    questionnaire = form(
        question("double", "integer", expression(SDC + "calculatedExpression", "%once * 2")),
        question("first", "integer", initially("%double + 1")),
        question("n", "integer", initial=[{"valueInteger": 3}]),
        extension=(
            variable("once", "%resource.item.where(linkId='n').answer.value"),
            variable("double", "%resource.item.where(linkId='double').answer.value"),
        ),
    )
    made = populated(questionnaire)
    assert [item["answer"][0]["valueInteger"] for item in made.response["item"]] == [6, 7, 3]


def test_a_value_outside_the_value_set_of_a_question_is_left_out() -> None:
    value_set = {
        "resourceType": "ValueSet",
        "id": "sides",
        "url": "https://example.org/sides",
        "status": "active",
        "compose": {
            "include": [{"system": "https://example.org/s", "concept": [{"code": "left"}]}]
        },
    }
    offered = {"answerValueSet": "#sides"}
    questionnaire = form(
        question("code", "choice", initially("'left'"), **offered),
        question("other", "choice", initially("'middle'"), **offered),
        question("coding", "choice", initially("%factory"), **offered),
        contained=[value_set],
        extension=(variable("factory", "%patient.maritalStatus.coding"),),
    )
    wed = {"coding": [{"system": "https://example.org/s", "code": "wed"}]}
    made = populated(questionnaire, patient={**CHILD, "maritalStatus": wed})
    assert values(made, "code") == [{"system": "https://example.org/s", "code": "left"}]
    assert [item["linkId"] for item in made.response["item"]] == ["code"]
    assert len(made.issues) == 2


@pytest.mark.parametrize(
    "malformed",
    [
        {"url": SDC + "initialExpression", "valueString": "%patient.id"},
        {"url": SDC + "initialExpression", "valueExpression": {"language": "text/fhirpath"}},
        {"url": CORE + "variable", "valueExpression": {"language": "text/cql", "expression": "x"}},
        {"url": SDC + "observationLinkPeriod", "valueDuration": {"value": 1}},
        {"url": SDC + "launchContext", "extension": []},
    ],
)
def test_a_form_whose_own_extensions_are_malformed_is_refused(malformed: Resource) -> None:
    with pytest.raises(FhirError, match="has no value that it can be gone by") as refused:
        populated(form(question("q", "string", malformed)))
    assert refused.value.issues[0].expression == "Questionnaire.item[0].extension[0]"


def test_a_form_whose_groups_repeat_without_end_is_refused() -> None:
    questionnaire = question("leaf", "string")
    for depth in range(5):
        ten = " | ".join(str(number) for number in range(10))
        context = expression(SDC + "itemPopulationContext", ten, name="n")
        questionnaire = question(
            f"g{depth}", "group", context, repeats=True, item=[questionnaire]
        )  # fmt: skip
    with pytest.raises(FhirError, match="more than 5000 items"):
        populated(form(questionnaire))
