"""What surrounds an evaluation, conditions, and how expressions fail.

https://hl7.org/fhirpath/N1/
"""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4 import definitions
from r4.definitions import build
from r4.fhirpath import Compiled, Environment, compile, evaluate, is_true
from r4.issue import FhirError

PACKAGE = build.DOWNLOADS / f"{build.PACKAGE}-{build.VERSION}.tgz"
PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Ash"}], "gender": "other"}
AT = Environment(now="2026-11-22T10:30:00.000+00:00")

# Examples of the standard that break its own rules: logical models without a base, and a Bundle
# that lists the same data element three times.
BREAK_RULES = {
    ("sdf-4", "Definition"),
    ("sdf-4", "Event"),
    ("sdf-4", "FiveWs"),
    ("sdf-4", "Request"),
    ("bdl-7", "dataelements"),
}


@pytest.mark.parametrize(
    ("expression", "position", "expected"),
    [
        ("name.", 5, "the name of an element or function"),
        ("name.where(use = )", 17, "a value, a path or `(`"),
        ("(1 + 2", 6, "`)`"),
        ("1 2", 2, "an operator or the end of the expression"),
        ("name # given", 5, "a FHIRPath token"),
        ("'a\\d'", 0, "a known escape"),
        ("name.wher(use)", 5, "did you mean `where`"),
        ("name.substring()", 5, "1 to 2 arguments of substring()"),
        ("value as Quantitty", 9, "a type of FHIR or System"),
        ("@2024-02-30", 0, "a date or time of the calendar"),
    ],
)
def test_a_syntax_error_says_where_and_what_was_expected(
    expression: str, position: int, expected: str
) -> None:
    with pytest.raises(FhirError) as refused:
        compile(expression)
    assert refused.value.status == 400
    assert refused.value.issues[0].code == "invalid"
    assert f"position {position}" in refused.value.issues[0].diagnostics
    assert expected in refused.value.issues[0].diagnostics


@pytest.mark.parametrize("expression", ["(" * 5000 + "1" + ")" * 5000, "a" + ".first()" * 5000])
def test_an_expression_nested_without_end_is_refused(expression: str) -> None:
    with pytest.raises(FhirError, match="nested"):
        evaluate(expression, PATIENT)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("name.single().family + 1", "cannot join System.String and System.Integer"),
        ("now()", "needs? Environment.now"),
        ("%unheard", "the variable %unheard is not defined"),
        ("gender.memberOf('http://example.org/vs')", "needs Environment.member_of"),
        ("conformsTo('http://example.org/profile')", "cannot decide on"),
        ("gender.matches('(')", "the regular expression"),
        ("gender.startsWith(1)", "an argument is a str"),
        ("(1 | 2) and true", "a condition needs a single item, got 2"),
        ("1 mod 0.00000000000000000000000000000000001", "a number out of range"),
    ],
)
def test_an_evaluation_error_names_the_problem_and_the_expression(
    expression: str, problem: str
) -> None:
    with pytest.raises(FhirError, match=problem) as failed:
        evaluate(expression, PATIENT)
    assert expression in str(failed.value)


def test_an_expression_is_compiled_once() -> None:
    assert compile("Patient.name.family") is compile("Patient.name.family")


def test_conditions_are_true_only_when_they_say_so() -> None:
    assert is_true("name.exists()", PATIENT)
    assert is_true("gender", PATIENT)
    assert not is_true("birthDate", PATIENT)
    assert not is_true("birthDate > @2020", PATIENT)
    with pytest.raises(FhirError):
        is_true("'a' | 'b'", PATIENT)


def test_variables_are_the_callers_and_fhirs() -> None:
    given_ = Environment(variables={"limit": 5, "codes": ["other", "male"], "child": PATIENT})
    assert evaluate("%limit + 1", PATIENT, given_) == [6]
    assert evaluate("gender in %codes", PATIENT, given_) == [True]
    assert evaluate("%child.name.family", {}, given_) == ["Ash"]
    assert evaluate("%ucum | %sct | %loinc", PATIENT) == [
        "http://unitsofmeasure.org",
        "http://snomed.info/sct",
        "http://loinc.org",
    ]
    assert evaluate("%`ext-patient-birthTime`", PATIENT) == [
        "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
    ]


def test_context_resource_and_root_resource() -> None:
    name = PATIENT["name"][0]
    around = Environment(resource=PATIENT, root_resource={"resourceType": "Bundle", "id": "b"})
    assert evaluate("%context.family", name, around, type="HumanName") == ["Ash"]
    assert evaluate("%resource.id | %rootResource.id", name, around) == ["p", "b"]
    assert evaluate("%resource.id | %rootResource.id", PATIENT) == ["p"]


def test_the_clock_is_the_callers() -> None:
    assert evaluate("today()", PATIENT, AT) == ["2026-11-22"]
    assert evaluate("timeOfDay()", PATIENT, AT) == ["10:30:00.000"]
    assert evaluate("now() - 1 year", PATIENT, AT) == ["2025-11-22T10:30:00.000Z"]


def test_membership_and_profiles_are_asked_of_the_caller() -> None:
    asked = Environment(
        member_of=lambda value, url: (value, url) == ("other", "http://example.org/vs"),
        conforms_to=lambda resource, _: resource["id"] == "p",
    )
    assert evaluate("gender.memberOf('http://example.org/vs')", PATIENT, asked) == [True]
    assert evaluate("conformsTo('http://example.org/profile')", PATIENT, asked) == [True]


def test_trace_tells_and_changes_nothing() -> None:
    told: list[tuple[str, list[Any]]] = []
    listening = Environment(trace=lambda name, values: told.append((name, values)))
    assert evaluate("name.trace('names', family).count()", PATIENT, listening) == [1]
    assert told == [("names", ["Ash"])]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("4 'g' + 250 'mg'", [("4.25", "g")]),
        ("3 'kg' / 2 'm2'", [("1500", "g.m-2")]),
        ("2 days.toQuantity('h')", [("48", "h")]),
        ("-(3 'mg')", [("-3", "mg")]),
    ],
)
def test_quantities_become_fhir_quantities(expression: str, values: list[tuple[str, str]]) -> None:
    found = evaluate(expression, PATIENT)
    assert [(each["value"], each["code"]) for each in found] == [
        (Decimal(value), code) for value, code in values
    ]


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("1 'mmol/L' = 1000 'umol/L'", [True]),
        ("120 'mm[Hg]' > 15 'kPa'", [True]),
        ("1 '10*3/uL' = 1 '10*9/L'", [True]),
        ("5 'tablet' = 5 'tablet'", [True]),
        ("5 'tablet' = 5 'mg'", []),
        ("1 year = 12 months", [True]),
        ("1 year = 1 'a'", []),
        ("1 year ~ 1 'a'", [True]),
        ("1 'm999999999' = 1 'km999999999'", []),
    ],
)
def test_units_are_compared_exactly_or_not_at_all(expression: str, answer: list[bool]) -> None:
    assert evaluate(expression, PATIENT) == answer


def test_a_fhir_age_counts_in_calendar_years() -> None:
    observed = {
        "resourceType": "Condition",
        "onsetAge": {"value": 5, "system": "http://unitsofmeasure.org", "code": "a"},
    }
    assert evaluate("onset >= 5 years and onset >= 5 'a'", observed) == [True]
    assert evaluate("@2018-01-20 + onset", observed) == ["2023-01-20"]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("@2024-01-31 + 1 month", ["2024-02-29"]),
        ("@2024 + 25 months", ["2026"]),
        ("@2024-03 - 40 days", ["2024-02"]),
        ("@T23:30 + 45 minutes", ["00:15"]),
        ("@2024-03-01T00:30:00+01:00 - 1 hour", ["2024-02-29T23:30:00+01:00"]),
        ("@9999-12-31 + 1 day", []),
        ("@2024-03-01T10:00:00Z = @2024-03-01T11:00:00+01:00", [True]),
        ("@2024-03 < @2024-04-15", [True]),
        ("@2024-03 < @2024-03-15", []),
    ],
)
def test_dates_are_added_to_and_compared_as_far_as_they_are_known(
    expression: str, values: list[Any]
) -> None:
    assert evaluate(expression, PATIENT) == values


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.mark.parametrize(
    ("narrative", "is_accepted"),
    [
        (f'{DIV}<p style="color: red">Repair&nbsp;of <b>atresia</b></p></div>', True),
        (f'{DIV}<img src="#i" alt="incision"/></div>', True),
        (f"{DIV}  </div>", False),
        (f"{DIV}<script>alert(1)</script></div>", False),
        (f'{DIV}<p onclick="alert(1)">x</p></div>', False),
        (f'{DIV}<a href=" java&#10;script:alert(1)">x</a></div>', False),
        (f'{DIV}<iframe src="http://example.org"/>x</div>', False),
        (f"{DIV}<p>x</div>", False),
        ("<p>x</p>", False),
        (f'<!DOCTYPE div [<!ENTITY x "y">]>{DIV}&x;</div>', False),
    ],
)
def test_html_checks_accept_formatting_and_refuse_what_acts(
    narrative: str, is_accepted: bool
) -> None:
    text = {"status": "generated", "div": narrative}
    assert evaluate("div.htmlChecks()", text, type="Narrative") == [is_accepted]


def test_every_expression_of_the_standard_compiles() -> None:
    for parameter in definitions.every("SearchParameter"):
        if "expression" in parameter:
            compile(parameter["expression"])
    for structure in definitions.every("StructureDefinition"):
        for element in structure.get("snapshot", {}).get("element", ()):
            for constraint in element.get("constraint", ()):
                compile(constraint.get("expression", "true"))


@pytest.mark.slow
@pytest.mark.skipif(not PACKAGE.exists(), reason="the standard's examples are not in .build/npm")
def test_the_standards_examples_keep_the_rules_of_their_resources() -> None:
    broken = set()
    for resource in build.resources(PACKAGE):
        structure = definitions.structure(resource["resourceType"])
        rules = structure["snapshot"]["element"][0].get("constraint", ()) if structure else ()
        for rule in rules:
            if rule["severity"] == "error" and not is_true(rule["expression"], resource):
                broken.add((rule["key"], resource.get("id")))
    assert broken == BREAK_RULES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["use", "family", "period", "start", "x"]), children)
    ),
    max_leaves=8,
)


@given(JSON)
def test_malformed_resources_never_raise_anything_but_a_fhir_error(node: Any) -> None:
    resource = {"resourceType": "Patient", "name": node, "birthDate": node, "_birthDate": node}
    for expression in (
        "name.period.start <= birthDate",
        "descendants().where($this is date)",
        "name.where(use = 'old').family & 'x'",
        "birthDate.extension('x').exists() or name ~ birthDate",
    ):
        before = json.dumps(resource, default=str)
        try:
            compile(expression).typed(resource)
        except FhirError:
            continue
        finally:
            assert json.dumps(resource, default=str) == before


def test_one_compiled_expression_serves_many_resources() -> None:
    family = Compiled("name.family")
    assert [family(each) for each in (PATIENT, {"resourceType": "Patient"}, PATIENT)] == [
        ["Ash"],
        [],
        ["Ash"],
    ]


def test_a_second_without_a_fraction_lasts_to_its_last_millisecond() -> None:
    assert evaluate("@T12:34:56.highBoundary()", None) == ["12:34:56.999"]
    assert evaluate("@T12:34:56.7.highBoundary()", None) == ["12:34:56.799"]
    assert evaluate("@T12:34:56.789.highBoundary()", None) == ["12:34:56.789"]
    assert evaluate("@2020-01-01T12:34:56Z.highBoundary()", None) == ["2020-01-01T12:34:56.999Z"]
    assert evaluate("@2020-01-01T12:34:56Z.lowBoundary()", None) == ["2020-01-01T12:34:56.000Z"]


def test_joining_nothing_is_nothing_or_for_sql_on_fhir_the_empty_string() -> None:
    assert evaluate("{}.join(',')", None) == []
    assert evaluate("{}.join(',')", None, Environment(joins_nothing=True)) == [""]
