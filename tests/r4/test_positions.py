"""Where an element stands in a text: line and column, as an editor shows them."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r4 import xml
from r4.issue import Issue, error
from r4.json import encode
from r4.positions import placed

JSON = """{
  "resourceType": "Observation",
  "identifier": [
    { "system": "https://e.example/ä", "value": "1" }, { "value": "2" }
  ],
  "_status": { "extension": [ { "url": "https://e.example/why", "valueCode": "unknown" } ] },
  "status": "final",
  "note": [ { "text": "é\\"}{", "_text": { "id": "x" } } ],
  "valueQuantity": { "value": 1.0 },
  "component": [
    { "code": { "text": "a" } },
    { "code": { "coding": [ { "code": "b" } ] },
      "extension": [ { "url": "u1", "valueString": "y" }, { "url": "u2", "valueString": "z" } ] }
  ]
}"""

XML = """<?xml version="1.0" encoding="UTF-8"?>
<Observation xmlns="http://hl7.org/fhir">
  <contained>
    <Patient>
      <id value="p"/>
      <birthDate value="2020"><extension url="u1"><valueString value="x"/></extension></birthDate>
    </Patient>
  </contained>
  <identifier><value value="1"/></identifier><identifier><value value="ä"/><use value="x"/></identifier>
  <status value="final"/>
  <valueQuantity>
    <value value="1.0"/>
  </valueQuantity>
</Observation>"""


def at(text: str, expression: str | None, *, inside: str | None = None) -> tuple[int, int] | None:
    is_xml = text.startswith("<")
    (found,) = placed(text.encode(), is_xml, [error("x", "y", expression)], inside=inside)
    return None if found.line is None or found.column is None else (found.line, found.column)


def begins(text: str, what: str, number: int = 1) -> tuple[int, int]:
    """Return line and column of the n-th time that a text says something."""
    offset = [match.start() for match in re.finditer(re.escape(what), text)][number - 1]
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    ("expression", "what", "number"),
    [
        ("Observation", "{", 1),
        ("Observation.status", '"status"', 1),
        ("Observation.identifier", '"identifier"', 1),
        ("Observation.identifier[0].value", '"value": "1"', 1),
        ("Observation.identifier[1]", '{ "value": "2"', 1),
        ("Observation.identifier[1].value", '"value": "2"', 1),
        ("Observation.value.ofType(Quantity)", '"valueQuantity"', 1),
        ("Observation.value.ofType(Quantity).value", '"value": 1.0', 1),
        ("Observation.value", '"valueQuantity"', 1),
        ("Observation.note[0].text", '"text": "é', 1),
        ("Observation.note[0].text.id", '"id"', 1),
        ("Observation.component[1].code.coding[0].code", '"code": "b"', 1),
        ("Observation.component[1].extension[1].value.ofType(string)", '"valueString": "z"', 1),
        ("Observation.component[1].extension('u2').value", '"valueString": "z"', 1),
        ("Observation.status.extension[0].value.ofType(code)", '"valueCode"', 1),
        ("Observation.status.extension('https://e.example/why')", '{ "url": "https://e.ex', 1),
    ],
)
def test_an_element_of_json_begins_at_its_name(expression: str, what: str, number: int) -> None:
    assert at(JSON, expression) == begins(JSON, what, number)


@pytest.mark.parametrize(
    ("expression", "what", "number"),
    [
        ("Observation", "<Observation", 1),
        ("Observation.status", "<status", 1),
        ("Observation.identifier", "<identifier", 1),
        ("Observation.identifier[1].use", "<use", 1),
        ("Observation.value.ofType(Quantity).value", "<value ", 3),
        ("Observation.contained[0].birthDate", "<birthDate", 1),
        ("Observation.contained[0].birthDate.extension[0].value.ofType(string)", "<valueString", 1),
        ("Observation.contained[0].birthDate.extension('u1')", "<extension", 1),
    ],
)
def test_an_element_of_xml_begins_at_its_start_tag(expression: str, what: str, number: int) -> None:
    assert at(XML, expression) == begins(XML, what, number)


@pytest.mark.parametrize(
    ("text", "expression", "what"),
    [
        (JSON, "Observation.code", "{"),
        (JSON, "Observation.code.coding[3].system", "{"),
        (JSON, "Observation.identifier[7].value", '"identifier"'),
        (JSON, "Observation.component[0].value.ofType(Quantity)", '{ "code": { "text"'),
        (JSON, "Observation.component[1].extension('u9')", '{ "code": { "coding"'),
        (JSON, "Observation.identifier.where(value = '2').use", '"identifier"'),
        (JSON, "Observation.identifier[1].first().use", '{ "value": "2"'),
        (XML, "Observation.code", "<Observation"),
        (XML, "Observation.identifier[0].system", "<identifier"),
        (XML, "Observation.contained[0].name[0].family", "<contained"),
    ],
)
def test_of_an_absent_element_the_nearest_above_it_is_named(
    text: str, expression: str, what: str
) -> None:
    assert at(text, expression) == begins(text, what)


@pytest.mark.parametrize("text", [JSON, XML])
@pytest.mark.parametrize("expression", [None, "", "http.url", "resourceType"])
def test_what_names_no_element_has_no_place(text: str, expression: str | None) -> None:
    assert at(text, expression) is None


def test_of_a_null_the_sibling_that_says_something_is_the_element() -> None:
    text = '{"resourceType":"Patient","name":[{"given":["a",null],\n"_given":[null,{"id":"x"}]}]}'
    assert at(text, "Patient.name[0].given[1]") == (2, 16)
    assert at(text, "Patient.name[0].given[0]") == begins(text, '"a"')
    assert at(text, "Patient.name[0].given[1].id") == begins(text, '"id"')


def test_a_resource_within_another_text_keeps_its_place_there() -> None:
    text = json.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "mode", "valueCode": "create"},
                {"name": "resource", "resource": {"resourceType": "Patient", "gender": "x"}},
            ],
        },
        indent=1,
    )
    inside = "Parameters.parameter[1].resource"
    assert at(text, "Patient.gender", inside=inside) == begins(text, '"gender"')
    assert at(text, "Patient.birthDate", inside=inside) == begins(text, '"resource"', 2)
    as_xml = xml.encode(json.loads(text), pretty=True).decode()
    assert at(as_xml, "Patient.gender", inside=inside) == begins(as_xml, "<gender")


def test_a_bundles_entries_are_told_apart() -> None:
    patients = [{"resource": {"resourceType": "Patient", "gender": "x"}} for _ in range(3)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": patients}
    text = json.dumps(bundle, indent=1)
    assert at(text, "Bundle.entry[2].resource.gender") == begins(text, '"gender"', 3)
    as_xml = xml.encode(bundle, pretty=True).decode()
    assert at(as_xml, "Bundle.entry[2].resource.gender") == begins(as_xml, "<gender", 3)


def test_lines_may_end_as_on_windows_and_a_byte_order_mark_is_no_column() -> None:
    assert at(JSON.replace("\n", "\r\n"), "Observation.status") == begins(JSON, '"status"')
    raw = b"\xef\xbb\xbf" + b'<Patient xmlns="http://hl7.org/fhir"><gender value="x"/></Patient>'
    (found,) = placed(raw, True, [error("x", "y", "Patient.gender")])
    assert (found.line, found.column) == (1, 38)


def test_everything_else_about_an_issue_stays() -> None:
    issue = Issue("warning", "code-invalid", "Say x.", "Observation.status", "rule")
    (found,) = placed(JSON.encode(), False, [issue])
    assert (found.severity, found.code, found.diagnostics) == ("warning", "code-invalid", "Say x.")
    assert (found.expression, found.rule) == ("Observation.status", "rule")
    assert placed(JSON.encode(), False, []) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[1]",
        b"not json",
        b'"\\"' + b'\\"' * 200_000,
        b"[" * 200_000,
        b'{"name":' * 100_000,
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><Patient><name>&b;</name></Patient>",
        b"<Patient><name></Patient>",
        b"<a>" * 100_000,
        b"\xff\xfe\x00",
    ],
)
@pytest.mark.parametrize("is_xml", [False, True])
def test_a_text_that_cannot_be_read_places_nothing_and_raises_nothing(
    raw: bytes, is_xml: bool
) -> None:
    (found,) = placed(raw, is_xml, [error("x", "y", "Patient.name[0].given[1]")])
    assert found.diagnostics == "y"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["name", "_name", "url", "valueCode", "é\n"]), inner)
    ),
)
STEPS = st.sampled_from(
    ["name", "name[0]", "name[9]", "value.ofType(code)", "extension('x')", "extension[0]", "[", "é"]
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.lists(STEPS), st.booleans(), st.integers(0, 200))
def test_any_text_and_any_expression_are_taken(
    value: object, steps: list[str], indented: bool, cut: int
) -> None:
    whole = {"resourceType": "Patient", "name": value}
    text = json.dumps(whole, indent=2, ensure_ascii=False).encode() if indented else encode(whole)
    issue = error("x", "y", ".".join(["Patient", *steps]))
    (found,) = placed(text, False, [issue])
    assert found.line is not None
    assert found.line <= text.count(b"\n") + 1
    for is_xml in (True, False):
        placed(text[:cut], is_xml, [issue])
        placed(issue.diagnostics.encode(), is_xml, [error("x", "y", text.decode()[:cut])])


def test_each_of_many_issues_on_one_line_has_a_column_of_its_own() -> None:
    """A Bundle of 2,000 entries on one line, with an issue in each."""
    entry = {"resource": {"resourceType": "Patient", "name": [{"given": ["a" * 500]}]}}
    text = encode({"resourceType": "Bundle", "entry": [entry] * 2000})
    issues = [error("x", "y", f"Bundle.entry[{n}].resource.name[0].given[0]") for n in range(2000)]
    found = placed(text, False, issues)
    assert [each.column for each in found] == sorted(each.column or 0 for each in found)
    assert len({each.column for each in found}) == 2000
