"""A small measure written as ELM, which engines of CQL read: the rule of a permanent stoma, said again.

It says in ELM what Measure/hirschsprung-core-outcome says with no rule but `permanent-stoma`; the date of
the report is a literal in it. https://cql.hl7.org/elm.html
"""

from base64 import b64encode
from typing import Any

from r4.json import encode

Elm = dict[str, Any]

BASE = "https://csor.example/fhir"
FHIR = "{http://hl7.org/fhir}"
TYPE = "{urn:hl7-org:elm-types:r1}"
POPULATIONS = {
    "initial-population": "Case",
    "denominator": "Case",
    "denominator-exclusion": "Not Due",
    "denominator-exception": "Not Known",
    "numerator": "Good",
}


def measure(as_of: str) -> Elm:
    """Return the Bundle of the Measure and its Library, as on a date."""
    library = {
        "resourceType": "Library", "id": "stoma", "url": f"{BASE}/Library/stoma", "version": "1.0.0",
        "status": "draft", "name": "Stoma", "type": {"coding": [{"code": "logic-library"}]},
        "content": [
            {
                "contentType": "application/elm+json",
                "data": b64encode(encode(_library(as_of))).decode(),
            }
        ],
    }  # fmt: skip
    found = {
        "resourceType": "Measure", "id": "stoma", "url": f"{BASE}/Measure/stoma", "version": "1.0.0",
        "status": "draft", "library": [f"{BASE}/Library/stoma"],
        "scoring": {"coding": [_coding("measure-scoring", "proportion")]},
        "improvementNotation": {"coding": [_coding("measure-improvement-notation", "increase")]},
        "group": [{"id": "group", "population": [_population(code) for code in POPULATIONS]}],
    }  # fmt: skip
    entries = [{"resource": found}, {"resource": library}]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _coding(system: str, code: str) -> Elm:
    return {"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}


def _population(code: str) -> Elm:
    criteria = {"language": "text/cql-identifier", "expression": POPULATIONS[code]}
    return {
        "id": code, "code": {"coding": [_coding("measure-population", code)]}, "criteria": criteria
    }  # fmt: skip


def _library(as_of: str) -> Elm:
    birthday = _call("Add", _value(_property("birthDate", {"type": "ExpressionRef", "name": "Patient"})),
                     {"type": "Quantity", "value": 5, "unit": "years"})  # fmt: skip
    known = _call("Or", _ref("Adverse"), _ref("None"))
    statements = {
        "Patient": _call1("SingletonFrom", _retrieve("Patient")),
        "As Of": _date(as_of),
        "Birthday": birthday,
        "Case": _exists("E", "EpisodeOfCare", _is_case()),
        "Due": _call("SameOrBefore", _ref("Birthday"), _ref("As Of")),
        "Adverse": _exists("O", "Observation", _is_stoma(answer=True)),
        "None": _exists("O", "Observation", _is_stoma(answer=False)),
        "Not Due": _call1("Not", _ref("Due")),
        "Not Known": _call("And", _ref("Due"), _call1("Not", known)),
        "Good": _all(_ref("Due"), _ref("None"), _call1("Not", _ref("Adverse"))),
    }
    return {
        "library": {
            "identifier": {"id": "Stoma", "version": "1.0.0"},
            "schemaIdentifier": {"id": "urn:hl7-org:elm", "version": "r1"},
            "usings": {"def": [
                {"localIdentifier": "System", "uri": "urn:hl7-org:elm-types:r1"},
                {"localIdentifier": "FHIR", "uri": "http://hl7.org/fhir", "version": "4.0.1"},
            ]},
            "parameters": {"def": [{
                "name": "Measurement Period", "accessLevel": "Public",
                "parameterTypeSpecifier": {
                    "type": "IntervalTypeSpecifier",
                    "pointType": {"type": "NamedTypeSpecifier", "name": f"{TYPE}DateTime"},
                },
            }]},
            "contexts": {"def": [{"name": "Patient"}]},
            "statements": {"def": [
                {"name": name, "context": "Patient", "accessLevel": "Public", "expression": expression}
                for name, expression in statements.items()
            ]},
        }
    }  # fmt: skip


def _is_case() -> Elm:
    period = {"type": "ParameterRef", "name": "Measurement Period"}
    start = _day(_value(_property("start", _property("period", _alias("E")))))
    coded = _coded(_property("type", _alias("E")), f"{BASE}/CodeSystem/condition", "hirschsprung")
    return _all(
        _call("NotEqual", _value(_property("status", _alias("E"))), _text("entered-in-error")),
        coded,
        _call("SameOrAfter", start, _day(_call1("Start", period))),
        _call("SameOrBefore", start, _day(_call1("End", period))),
    )


def _is_stoma(*, answer: bool) -> Elm:
    observed = _day(_value(_property("effective", _alias("O"))))
    codes = {"type": "List", "element": [_property("code", _alias("O"))]}
    status = _value(_property("status", _alias("O")))
    literal = {
        "type": "Literal", "valueType": f"{TYPE}Boolean", "value": "true" if answer else "false"
    }  # fmt: skip
    return _all(
        _any(*(_call("Equal", status, _text(each)) for each in ("final", "amended", "corrected"))),
        _coded(codes, f"{BASE}/CodeSystem/outcome-observation", "permanent-stoma"),
        _call("SameOrAfter", observed, _ref("Birthday")),
        _call("SameOrBefore", observed, _ref("As Of")),
        _call("Equal", _value(_property("value", _alias("O"))), literal),
    )


def _coded(concepts: Elm, system: str, code: str) -> Elm:
    is_it = _call(
        "And",
        _call("Equal", _value(_property("system", _alias("C"))), _text(system)),
        _call("Equal", _value(_property("code", _alias("C"))), _text(code)),
    )
    codings = _property("coding", _alias("T"))
    return _call1("Exists", _query("T", concepts, _call1("Exists", _query("C", codings, is_it))))


def _exists(alias: str, kind: str, where: Elm) -> Elm:
    return _call1("Exists", _query(alias, _retrieve(kind), where))


def _query(alias: str, source: Elm, where: Elm) -> Elm:
    return {
        "type": "Query", "source": [{"alias": alias, "expression": source}], "relationship": [],
        "where": where,
    }  # fmt: skip


def _retrieve(kind: str) -> Elm:
    template = f"http://hl7.org/fhir/StructureDefinition/{kind}"
    return {"type": "Retrieve", "dataType": FHIR + kind, "templateId": template}


def _property(path: str, source: Elm) -> Elm:
    return {"type": "Property", "path": path, "source": source}


def _value(source: Elm) -> Elm:
    return _property("value", source)


def _alias(name: str) -> Elm:
    return {"type": "AliasRef", "name": name}


def _ref(name: str) -> Elm:
    return {"type": "ExpressionRef", "name": name}


def _text(value: str) -> Elm:
    return {"type": "Literal", "valueType": f"{TYPE}String", "value": value}


def _day(moment: Elm) -> Elm:
    return _call1("DateFrom", moment)


def _date(text: str) -> Elm:
    parts = zip(("year", "month", "day"), text.split("-"), strict=True)
    whole = f"{TYPE}Integer"
    return {
        "type": "Date",
        **{
            name: {"type": "Literal", "valueType": whole, "value": str(int(part))}
            for name, part in parts
        },
    }


def _call(kind: str, *operands: Elm) -> Elm:
    return {"type": kind, "operand": list(operands)}


def _call1(kind: str, operand: Elm) -> Elm:
    return {"type": kind, "operand": operand}


def _all(first: Elm, *others: Elm) -> Elm:
    return _call("And", first, _all(*others)) if others else first


def _any(first: Elm, *others: Elm) -> Elm:
    return _call("Or", first, _any(*others)) if others else first
