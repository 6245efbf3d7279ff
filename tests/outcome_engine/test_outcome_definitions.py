"""The format of definitions: what is read, and what is refused by name when it is read."""

from copy import deepcopy
from importlib.resources import files
from pathlib import Path

import pytest

from outcome_engine.definitions.definition import definition, read
from outcome_engine.expressions.expression import Scope, criteria
from outcome_engine.expressions.expression import read as read_expression
from r4 import artefacts
from r4.issue import FhirError
from r4.json import decode

OURS = "https://csor.example/fhir/StructureDefinition/"
FORMAT = Path(__file__).parents[2] / "docs" / "outcome-definitions.md"
LIBRARY = files("outcome_engine") / "libraries" / "Library-hirschsprung-core-outcome.json"
COLUMNS = {
    "status": "code",
    "date": "dateTime",
    "code_system": "uri",
    "code_code": "code",
    "value_integer": "integer",
    "value_decimal": "decimal",
    "value_boolean": "boolean",
}
OBSERVED = "https://csor.example/fhir/CodeSystem/outcome-observation"


def expression(text):
    facts = {"asOf": "date", "indexEnd": "moment", "count": "integer", "days": "days"}
    return read_expression(text, Scope("test", COLUMNS, facts))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("code_cod = 'x'", "no column `code_cod`"),
        ("%nothing > 1", "no fact `%nothing`"),
        ("code.memberOf('https://csor.example/fhir/ValueSet/none')", "no value set `https"),
        ("sort.memberOf('x')", "no column `sort_system`"),
        ("code_code = 'T30.1'", "stands without its system"),
        (f"code_system = '{OBSERVED}' and code_code = 'pain'", "has no code `pain`"),
        (f"code_system = '{OBSERVED}' and code_code in ('death' | 'x')", "has no code"),
        (f"code_system = '{OBSERVED}s'", "no code system"),
        (f"code_system = '{OBSERVED}' or code_code = 'haec-score'", "without its system"),
        ("status.matches('f.*')", "function `matches\\(\\)` is not in the subset"),
        ("now() > %asOf", "function `now\\(\\)` is not in the subset"),
        ("status & 'x' = 'y'", "operator `&` is not in the subset"),
        ("value_integer / 2 > 4", "operator `/` is not in the subset"),
        ("value_decimal * 2 > 4", "joins integers, not decimal and integer"),
        ("value_integer div 0 = 1", "a literal greater than 0"),
        ("value_integer mod value_integer = 1", "a literal greater than 0"),
        ("value_decimal.truncate() > 4", "is of millionths"),
        ("date > %asOf", "type moment is not compared with type date"),
        ("status > 'a'", "has no order"),
        ("status = 1", "type text is not compared with type integer"),
        ("value_integer", "it is of type integer, not boolean"),
        ("value_boolean and status", "where boolean is needed"),
        ("status in ('a' | 1)", "needs literals of type text"),
        ("status in %days", "cannot be `in`"),
        ("value_decimal > 0.1234567", "more than six decimals"),
        ("date.toDate() > @2024-02", "dates are full"),
        ("date.toDate() + 1.5 years > %asOf", "whole number of units"),
        ("date.toDate() + 3 hours > %asOf", "is not added to type date"),
        ("%indexEnd + 1 month > date", "is not added to type moment"),
        ("iif(value_boolean, 1, 'a') = 1", "are of one type"),
        ("status = ", "expected"),
        ("Bundle.entry.resource.exists()", "is not in the subset"),
    ],
)
def test_an_expression_is_refused_with_itself_and_the_reason(text, reason):
    facts = {"asOf": "date", "indexEnd": "moment", "days": "days"}
    with pytest.raises(FhirError, match=reason) as refusal:
        criteria(text, Scope("the test", COLUMNS, facts))
    assert refusal.value.status == 422
    assert f"the test: the expression `{text}` is refused" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("date", "moment"),
        ("date.toDate()", "date"),
        ("date.toDate() + 5 years", "date"),
        ("%indexEnd - date", "integer"),
        ("date.toDate() - %asOf", "integer"),
        ("value_integer + 2.5", "decimal"),
        ("value_integer * %count div 7 mod 2", "integer"),
        ("(value_decimal * 1000000).truncate()", "integer"),
        ("iif(value_boolean, %count)", "integer"),
        ("date.toDate() in %days", "boolean"),
        ("iif(value_boolean, %count, 0)", "integer"),
        (
            f"code_system = '{OBSERVED}' and (status = 'final' or code_code = 'haec-score')",
            "boolean",
        ),
    ],
)
def test_an_expression_has_a_type(text, type):
    assert expression(text).type == type


def test_the_example_of_the_format_is_one():
    text = FORMAT.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    found = read(measure(), decode(text.encode()))
    assert [fact.id for fact in found.facts] == ["died", "birth-weight"]
    assert [rule.id for rule in found.rules] == ["death"]
    assert found.views == ("patient", "case", "procedure", "observation")


def measure():
    found = deepcopy(artefacts.by_url("outcome_engine", "Measure"))
    return found["https://csor.example/fhir/Measure/hirschsprung-core-outcome"]


def library():
    return decode(LIBRARY.read_bytes())


def part(extension, name):
    return next(each for each in extension["extension"] if each["url"] == name)


def those(found, name):
    return [each for each in found["extension"] if each["url"] == OURS + name]


def without_the_case(found):
    found["extension"].remove(those(found, "outcome-case")[0])


def two_cases(found):
    found["extension"].append(those(found, "outcome-case")[0])


def an_unknown_view(found):
    part(those(found, "outcome-index")[0], "view")["valueCode"] = "operation"


def an_unknown_extension(found):
    found["extension"].append({"url": OURS + "outcome-fcat", "extension": []})


def a_name_twice(found):
    part(those(found, "outcome-fact")[-1], "id")["valueCode"] = "stagedDays"


def a_fact_of_patients(found):
    facts = those(found, "outcome-fact")
    return next(each for each in facts if part(each, "id")["valueCode"] == "dated")


def an_unknown_value(found):
    part(a_fact_of_patients(found), "value")["valueCode"] = "median"


def a_value_without_its_column(found):
    part(a_fact_of_patients(found), "value")["valueCode"] = "max"


def a_column_that_has_no_sum(found):
    fact = a_fact_of_patients(found)
    part(fact, "value")["valueCode"] = "sum"
    fact["extension"].append({"url": "of", "valueCode": "gender"})


def a_unit_of_what_is_no_quantity(found):
    fact = a_fact_of_patients(found)
    part(fact, "value")["valueCode"] = "earliest"
    fact["extension"].append({"url": "unit", "valueCode": "g"})


def no_step_that_always_decides(found):
    found["extension"].remove(those(found, "outcome-class-rule")[-1])


def a_fact_that_comes_later(found):
    first = those(found, "outcome-fact")[0]
    part(first, "expression")["valueExpression"]["expression"] = "%indexDate"


def a_date_that_is_none(found):
    those(found, "outcome-rule")[0]["extension"].append({"url": "date", "valueCode": "rules"})


def a_rule_without_its_other_side(found):
    rule = those(found, "outcome-rule")[0]
    rule["extension"].remove(part(rule, "notMet"))


def a_due_date_that_is_none(found):
    those(found, "outcome-due")[0]["valueExpression"]["expression"] = "5"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_the_case, "says once which cases"),
        (two_cases, "says once which cases"),
        (a_unit_of_what_is_no_quantity, "the unit `g` cannot be that of the value `earliest`"),
        (an_unknown_view, "no view or outcome-rows `operation`; there are: case"),
        (an_unknown_extension, "outcome-fcat is refused"),
        (a_name_twice, "stagedDays is refused: the name is taken"),
        (an_unknown_value, "the value `median` is none of exists, count"),
        (a_value_without_its_column, "`max` needs `of`"),
        (a_column_that_has_no_sum, "`sum` cannot be taken of column `gender`"),
        (no_step_that_always_decides, "one always decides"),
        (a_fact_that_comes_later, "no fact `%indexDate` at this point"),
        (a_date_that_is_none, "`rules` is none"),
        (
            a_rule_without_its_other_side,
            "outcome-rule death is refused: it says nothing of `notMet`",
        ),
        (a_due_date_that_is_none, "is of type integer, not date"),
    ],
)
def test_a_definition_is_refused_by_name(change, reason):
    changed = library()
    change(changed)
    with pytest.raises(FhirError, match=reason) as refusal:
        read(measure(), changed)
    assert refusal.value.status == 422


def test_a_measure_of_two_groups_is_refused():
    two = measure()
    two["group"] *= 2
    with pytest.raises(FhirError, match="one group"):
        read(two, library())


def test_a_definition_names_the_views_that_it_reads(core):
    assert definition(core).views == ("patient", "case", "procedure", "observation")
