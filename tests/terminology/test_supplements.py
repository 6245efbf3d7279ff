"""What supplements add, versions, lookup and translation in both directions."""

from typing import Any

import pytest

from r4.issue import FhirError
from terminology import Expand
from terminology.systems import SNOMED_CT
from tests.terminology.fictitious import OURS, TREE, including, loaded_service, service, value_set

URL = f"{OURS}/tree"


def supplement(of: str, code: str, term: str) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": f"{of}/supplement-of-{code}",
        "content": "supplement",
        "supplements": f"{of}|2",
        "concept": [
            {
                "code": code,
                "designation": [{"language": "cy", "value": term}],
                "property": [{"code": "legs", "valueInteger": 4}],
            }
        ],
    }


@pytest.mark.parametrize(("system", "code"), [(URL, "cat"), (SNOMED_CT, "100")])
def test_terms_and_properties_join_those_of_the_system(system: str, code: str) -> None:
    terminology = loaded_service(
        supplement(system, code, "Term"), supplement(system, code, "Other")
    )
    found = terminology.concept(system, code)
    assert [each["value"] for each in found.concept.designations] == ["Term", "Other"]
    assert found.properties[0] == ("legs", {"valueInteger": 4})
    assert (
        terminology.check(None, {"system": system, "code": code, "display": "other"}).result is True
    )


@pytest.mark.parametrize(("system", "code"), [(URL, "cat"), (SNOMED_CT, "100")])
def test_a_supplement_serves_filters_and_languages(system: str, code: str) -> None:
    legs = value_set("legs", including(system, ("legs", "=", "4")))
    terminology = loaded_service(supplement(system, code, "Term"), legs)
    contains, total = terminology.expansion(legs, Expand(language="cy"))
    assert total == 1
    assert contains[0]["code"] == code
    assert contains[0]["display"] == "Term"


def test_a_supplement_adds_no_codes_and_is_no_system() -> None:
    terminology = service(supplement(URL, "unicorn", "Term"))
    assert terminology.check(None, {"system": URL, "code": "unicorn"}).reason == "unknown-code"
    named = f"{URL}/supplement-of-unicorn"
    assert terminology.check(None, {"system": named, "code": "unicorn"}).reason == "not-loaded"


def test_versions_of_a_system_stand_beside_one_another() -> None:
    older = {**TREE, "version": "1", "concept": [{"code": "fossil"}]}
    terminology = service(older)
    for version, code, result in (
        ("1", "fossil", True),
        ("2", "fossil", False),
        (None, "cat", True),
    ):
        coding = {"system": URL, "code": code} | ({"version": version} if version else {})
        assert terminology.check(None, coding).result is result
    assert terminology.subsumes(URL, "animal", "cat") == "subsumes"
    with pytest.raises(FhirError):
        terminology.subsumes(URL, "animal", "cat", "1")


def test_versions_of_a_value_set_stand_beside_one_another() -> None:
    sets = [
        {**value_set("set", {"system": URL, "concept": [{"code": code}]}), "version": version}
        for version, code in (("1.0.0", "cat"), ("1.1.0", "bat"))
    ]
    terminology = service(*sets)
    url = f"{OURS}/vs/set"
    assert [each["code"] for each in terminology.expand(url)] == ["bat"]
    assert [each["code"] for each in terminology.expand(f"{url}|1.0.0")] == ["cat"]
    assert terminology.members(f"{url}|2.0.0") is None


def test_lookup_gives_what_is_above_and_below() -> None:
    found = service().concept(URL, "mammal")
    assert (found.name, found.version, found.concept.display) == (URL, "2", "Mammal")
    assert found.properties == (
        ("parent", {"valueCode": "animal"}),
        ("child", {"valueCode": "cat"}),
        ("child", {"valueCode": "bat"}),
    )


@pytest.mark.parametrize(
    ("system", "code", "status", "rule"),
    [
        (URL, "unicorn", 404, "unknown-code"),
        ("urn:unheard-of", "x", 404, "unknown-system"),
        (SNOMED_CT, "100", 422, "not-loaded"),
    ],
)
def test_lookup_says_what_is_not_known(system: str, code: str, status: int, rule: str) -> None:
    with pytest.raises(FhirError) as refused:
        service().concept(system, code)
    assert refused.value.status == status
    assert refused.value.issues[0].rule == rule


CONCEPT_MAP = {
    "resourceType": "ConceptMap",
    "url": f"{OURS}/cm/map",
    "group": [
        {
            "source": "from",
            "target": "to",
            "element": [
                {"code": "a", "target": [{"code": "A", "equivalence": "equivalent"}]},
                {"code": "b", "display": "Bee", "target": [{"code": "A", "equivalence": "wider"}]},
                {
                    "code": "c",
                    "target": [{"code": "A", "dependsOn": [{"property": "p", "value": "v"}]}],
                },
            ],
        }
    ],
}


def test_a_translation_is_read_in_both_directions() -> None:
    terminology = service(CONCEPT_MAP)
    there = terminology.matches_of(CONCEPT_MAP, {"system": "from", "code": "b"})
    assert [(m.equivalence, m.coding, m.source) for m in there] == [
        ("wider", {"system": "to", "code": "A"}, f"{OURS}/cm/map")
    ]
    back = terminology.matches_of(CONCEPT_MAP, {"system": "to", "code": "A"}, reverse=True)
    assert [(match.equivalence, match.coding) for match in back] == [
        ("equivalent", {"system": "from", "code": "a"}),
        ("narrower", {"system": "from", "code": "b", "display": "Bee"}),
    ]
    assert terminology.matches_of(CONCEPT_MAP, {"system": "other", "code": "A"}, reverse=True) == []
