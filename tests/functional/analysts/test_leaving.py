"""What leaves of a resource: by the definitions of R4 themselves, of whatever could stand in one."""

import json
import re
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.analyst import ABOUT_A_CHILD, ORGANIZATION
from fhir_server.access.pseudonym_elements import (
    EXTENSIONS,
    Rules,
    WithheldError,
    earlier,
    knows,
    leaving,
)
from r4 import definitions
from terminology import Terminology

TYPES = sorted(ABOUT_A_CHILD | {ORGANIZATION})
DEEPEST = 5
DAYS = 100
NUMBERS = count(1)
PRIMITIVES = {
    "boolean": True, "integer": 3, "positiveInt": 4, "unsignedInt": 5, "decimal": 6,
    "date": "1951-05-06", "dateTime": "1951-05-06T07:08:09.123Z", "instant": "1951-05-06T07:08:09Z",
    "time": "07:08:09",
}  # fmt: skip
"""What stands for each primitive that is no text; every text is a SECRET."""


@cache
def terminology() -> Terminology:
    return Terminology.load()


def secret() -> str:
    return f"SECRET{next(NUMBERS)}"


def whole(path: str, depth: int = 0) -> dict[str, Any]:
    """Return an object that has all that may stand below a path, every choice at once."""
    structure = definitions.structure(path.partition(".")[0])
    assert structure is not None
    made: dict[str, Any] = {}
    for element in structure["snapshot"]["element"]:
        at, name = element["path"], element["path"].rpartition(".")[2]
        if at.rpartition(".")[0] != path or name in ("modifierExtension", "implicitRules"):
            continue
        if same := element.get("contentReference"):
            made[name] = [whole(same.removeprefix("#"), depth + 1)] if depth < DEEPEST else []
        for kind in element.get("type", ()):
            code = kind["code"]
            key = name.replace("[x]", code[:1].upper() + code[1:])
            value = one(code, at, depth)
            made[key] = value if element.get("max") == "1" or name == "id" else [value, value]
            made[f"_{key}"] = {"extension": [{"url": secret(), "valueString": secret()}]}
    return made


def one(kind: str, path: str, depth: int) -> Any:
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if kind == "Extension":
        values = {f"value{each}": secret() for each in ("String", "Code", "Uri", "Markdown", "Id")}
        inside = [{"url": next(iter(EXTENSIONS)), "valueString": secret()}]
        url = sorted(EXTENSIONS)[next(NUMBERS) % len(EXTENSIONS)]
        return {"url": url, "extension": inside, **values}
    if kind[0].islower() or kind.startswith("http") or depth > DEEPEST:
        return secret()
    if kind in ("BackboneElement", "Element"):
        return whole(path, depth + 1)
    if kind == "Resource":
        return {"resourceType": "Patient", "id": secret(), "name": [{"text": secret()}]}
    made = whole(kind, depth + 1)
    return made | {"system": "http://snomed.info/sct"} if kind in ("Coding", "Quantity") else made


def rules(days: int | None = DAYS, **more: Any) -> Rules:
    given = {
        "birth_date": "month", "postcode": "district", "refer": lambda _: None,
        "knows": lambda system, code: knows(terminology(), system, code),
        "allows": lambda url, code: (
            terminology().validate_code(url.partition("|")[0], None, code) is True
        ),
        "form": lambda url: frozenset({"a"}) if url == "https://f" else frozenset(), **more,
    }  # fmt: skip
    return Rules(days, **given)


@pytest.mark.parametrize("kind", TYPES)
def test_of_all_that_the_standard_lets_stand_in_a_resource_no_text_leaves(kind: str) -> None:
    resource = {**whole(kind), "resourceType": kind}
    assert json.dumps(resource, default=str).count("SECRET") > 100
    told = json.dumps(leaving(resource, rules()), default=str)
    assert "SECRET" not in told
    assert "1951-05-06" not in told


@pytest.mark.parametrize("kind", TYPES)
def test_an_element_that_is_added_does_not_leave(kind: str) -> None:
    added = {"resourceType": kind, "newName": "SECRET", "newPart": {"valueInteger": 1}, "x": 1}
    assert set(leaving(added, rules())) == {"resourceType", "meta"}


def test_dates_of_what_is_no_childs_do_not_leave() -> None:
    told = leaving({"resourceType": "Encounter", "period": {"start": "2020-01-01"}}, rules(None))
    assert "period" not in told


@pytest.mark.parametrize("path", [(), ("component", 0)])
def test_what_modifies_the_meaning_keeps_all_of_it_back(path: tuple[Any, ...]) -> None:
    resource: dict[str, Any] = {
        "resourceType": "Observation", "component": [{"valueInteger": 1}], "valueBoolean": True
    }  # fmt: skip
    node: Any = resource
    for step in path:
        node = node[step]
    node["modifierExtension"] = [{"url": "https://local.example/not", "valueBoolean": True}]
    with pytest.raises(WithheldError):
        leaving(resource, rules())
    with pytest.raises(WithheldError):
        leaving({"resourceType": "Observation", "implicitRules": "https://local.example"}, rules())


def value_of(**value: Any) -> dict[str, Any]:
    told = leaving({"resourceType": "Observation", **value}, rules())
    return {name: each for name, each in told.items() if name not in ("resourceType", "meta")}


UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("given_value", "leaves"),
    [
        ({"value": 5, "system": UCUM, "code": "mg", "unit": "mg for Mia"}, {"code": "mg"}),
        ({"value": 5, "system": UCUM, "code": "mg{Mia}"}, {"code": "mg"}),
        ({"value": 5, "system": UCUM, "code": "{Mia}"}, {"code": "1"}),
        ({"value": 5, "comparator": "<"}, {"comparator": "<"}),
        ({"value": 5, "comparator": "Mia"}, {}),
        ({"value": 5, "unit": "stones"}, None),
        ({"value": 5, "system": "https://local.example", "code": "mg"}, None),
        ({"value": 5, "system": UCUM, "code": "Mia"}, None),
        ({"value": 9449305552}, None),
        ({"value": "5"}, None),
        ({"unit": "mg"}, None),
    ],
)
def test_a_quantity_leaves_with_a_unit_of_ucum_or_with_none(
    given_value: dict[str, Any], leaves: dict[str, Any] | None
) -> None:
    told = value_of(valueQuantity=given_value)
    if leaves is None:
        assert told == {}
        return
    named = {"system": UCUM} if "code" in leaves else {}
    assert told == {"valueQuantity": {"value": 5, **named, **leaves}}


@pytest.mark.parametrize(
    ("system", "code", "leaves"),
    [
        ("http://snomed.info/sct", "80146002", True),
        ("http://snomed.info/sct", "80146003", False),  # no check digit of Verhoeff's
        ("http://snomed.info/sct", "80146002|Mia's appendix|", False),
        ("https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "H01.1", True),
        ("https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "Mia", False),
        ("http://hl7.org/fhir/sid/icd-10", "K35.8", True),
        ("http://hl7.org/fhir/sid/icd-10", "MIA", False),
        ("http://loinc.org", "29463-7", True),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "IMP", True),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "Mia", False),
        ("http://terminology.hl7.org/CodeSystem/Mia", "IMP", False),
        ("https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland", "21", True),
        ("https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland", "Mia R", False),
        ("https://fhir.nhs.uk/Id/ods-organization-code", "RTH", False),
        ("https://local.example/codes", "A1", False),
        ("", "A1", False),
    ],
)
def test_a_code_leaves_by_its_system(system: str, code: str, leaves: bool) -> None:
    told = value_of(
        valueCodeableConcept={"text": "Mia", "coding": [{"system": system, "code": code}]}
    )
    coding = {"coding": [{"system": system, "code": code}]}
    assert told == ({"valueCodeableConcept": coding} if leaves else {})


def test_a_word_leaves_where_the_standard_has_it() -> None:
    assert value_of(status="final") == {"status": "final"}
    assert value_of(status="mia") == {}
    assert value_of(language="en") == {}


def test_answers_leave_with_the_linkids_of_a_form_that_is_known_and_no_open_text() -> None:
    items = [
        {"linkId": "a", "text": "Mia's answer", "answer": [
            {"valueString": "Mia"}, {"valueInteger": 2}, {"valueDate": "2020-05-01"},
        ]},
        {"linkId": "Mia", "answer": [{"valueBoolean": True}]},
        {"linkId": "a", "answer": [{"valueString": "Mia"}]},
    ]  # fmt: skip
    response = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "https://f|1",
        "item": items,
    }
    told = leaving(response, rules())
    kept = [{"valueInteger": 2}, {"valueDate": "2020-01-22"}]
    assert told["item"] == [{"linkId": "a", "answer": kept}, {"linkId": "a"}]
    assert told["questionnaire"] == "https://f"
    unknown = leaving(response, rules(form=lambda _: frozenset()))
    assert set(unknown) == {"resourceType", "meta"}


@pytest.mark.parametrize(
    ("postcode", "leaves"),
    [("LS1 4DT", "LS1"), ("sw1a1aa", "SW1A"), ("LS1", None), ("Mia", None), ("", None)],
)
def test_of_an_address_the_district_leaves_and_by_the_policy_alone(
    postcode: str, leaves: str | None
) -> None:
    old = {"use": "old", "postalCode": "M1 1AA"}
    patient = {"resourceType": "Patient", "address": [old, {"city": "A", "postalCode": postcode}]}
    told = leaving(patient, rules())
    assert told.get("address") == ([{"postalCode": leaves}] if leaves else None)
    assert "address" not in leaving(patient, rules(postcode="none"))


@pytest.mark.parametrize(("grain", "leaves"), [("month", "2019-12"), ("year", "2019")])
def test_a_birth_date_is_shifted_and_then_cut(grain: str, leaves: str) -> None:
    patient = {"resourceType": "Patient", "birthDate": "2020-03-20"}
    assert leaving(patient, rules(birth_date=grain))["birthDate"] == leaves
    partial = {"resourceType": "Patient", "birthDate": "2020-03"}
    assert "birthDate" not in leaving(partial, rules())


def test_extensions_leave_that_are_listed_and_nothing_inside_them() -> None:
    url = "https://csor.example/fhir/StructureDefinition/procedure-urgency"
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "80146002", "display": "Mia"}]}
    listed = [
        {"url": url, "valueCodeableConcept": coded, "extension": [{"url": url, "valueInteger": 1}]},
        {"url": "https://local.example/x", "valueInteger": 1},
    ]
    told = value_of(extension=listed)
    kept = {"coding": [{"system": "http://snomed.info/sct", "code": "80146002"}]}
    assert told == {"extension": [{"url": url, "valueCodeableConcept": kept}]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2020-07-01", "2020-06-01"),
        ("2020-07-01T10:00:00+01:00", "2020-06-01T10:00:00Z"),
        ("2020-07-01T09:00:00Z", "2020-06-01T10:00:00Z"),  # the same moment
        ("2020-07-01T23:30:00Z", "2020-06-02T00:30:00Z"),
        ("2020-01-01T09:00:00.1234567Z", "2019-12-02T09:00:00.1234567Z"),
        ("2020-07", None), ("2020", None), ("0001-01-02", None), ("2019-02-29", None), ("Mia", None),
    ],
)  # fmt: skip
def test_a_date_is_told_by_the_clock_in_the_united_kingdom(text: str, told: str | None) -> None:
    assert earlier(text, 30) == told


def test_the_hour_by_which_the_clocks_change_is_not_told_for_it_would_tell_the_day() -> None:
    evening, morning = earlier("2025-03-29T22:00:00Z", 30), earlier("2025-03-30T05:00:00Z", 30)
    assert (evening, morning) == (
        "2025-02-27T22:00:00Z",
        "2025-02-28T06:00:00Z",
    )  # seven hours, as eight


FROM, TO = datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("1990-02-28")
WINTER = st.datetimes(FROM, TO).map(lambda moment: moment.replace(microsecond=0))


@given(WINTER, WINTER, st.integers(1, 3650))
def test_two_moments_are_as_far_apart_as_they_were(
    one: datetime, other: datetime, days: int
) -> None:
    told = [earlier(f"{each.isoformat()}Z", days) for each in (one, other)]
    first, second = (datetime.fromisoformat(each or "") for each in told)
    assert second - first == other - one
    assert first.replace(tzinfo=None) + timedelta(days) == one


@given(st.dates(), st.dates(), st.integers(1, 3650))
def test_two_days_are_as_far_apart_as_they_were(one: Any, other: Any, days: int) -> None:
    told = [earlier(each.isoformat(), days) for each in (one, other)]
    if None not in told:
        first, second = (datetime.fromisoformat(each or "").date() for each in told)
        assert second - first == other - one


@given(st.text(max_size=30))
def test_what_is_no_date_is_none(text: str) -> None:
    found = earlier(text, 30)
    assert found is None or re.match(r"\d{4}-\d\d-\d\d", text)
