"""What the terminology service answers: yes, no, or not decidable here."""

import pytest

from r4 import definitions
from r4.issue import FhirError
from terminology import Terminology, systems

HL7 = "http://hl7.org/fhir"
V3 = "http://terminology.hl7.org/CodeSystem"
OURS = "https://example.org"

TREE = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/tree",
    "content": "complete",
    "concept": [
        {
            "code": "animal",
            "concept": [
                {"code": "mammal", "display": "Mammal", "concept": [{"code": "cat"}]},
                {"code": "bird", "property": [{"code": "flies", "valueBoolean": True}]},
            ],
        },
        {"code": "bat", "property": [{"code": "parent", "valueCode": "mammal"}]},
        {"code": "stone"},
    ],
}
FRAGMENT = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/fragment",
    "content": "fragment",
    "concept": [{"code": "known"}],
}


def value_set(name: str, include: list[dict], exclude: list[dict] | None = None) -> dict:
    compose = {"include": include} | ({"exclude": exclude} if exclude else {})
    return {"resourceType": "ValueSet", "url": f"{OURS}/vs/{name}", "compose": compose}


def tree(*filters: tuple[str, str, str]) -> dict:
    return {
        "system": f"{OURS}/tree",
        "filter": [{"property": p, "op": op, "value": v} for p, op, v in filters],
    }


def service(*resources: dict) -> Terminology:
    return Terminology.of([TREE, FRAGMENT, *resources])


STANDARD = Terminology.load()


@pytest.mark.parametrize(
    ("url", "system", "code", "answer"),
    [
        ("observation-status", None, "final", True),
        ("observation-status|4.0.1", None, "final", True),
        ("observation-status", None, "finished", False),
        ("observation-status", f"{HL7}/observation-status", "final", True),
        ("observation-status", f"{HL7}/publication-status", "final", False),
        ("condition-clinical", f"{V3}/condition-clinical", "active", True),
        ("condition-code", systems.SNOMED_CT, "404684003", None),
        ("mimetypes", None, "text/plain", True),
        ("mimetypes", None, "plain", False),
        ("consent-content-class", f"{HL7}/resource-types", "Patient", True),
        ("consent-content-class", "http://ihe.net/unheard-of", "x", False),
        ("no-such-value-set", None, "final", None),
    ],
)
def test_a_code_is_in_a_standard_value_set_or_not_or_undecided(url, system, code, answer):
    assert STANDARD.validate_code(f"{HL7}/ValueSet/{url}", system, code) is answer


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (tree(("concept", "is-a", "mammal")), {"mammal", "cat", "bat"}),
        (tree(("concept", "descendent-of", "mammal")), {"cat", "bat"}),
        (tree(("concept", "is-not-a", "animal")), {"stone"}),
        (tree(("flies", "=", "true")), {"bird"}),
        (tree(("display", "=", "Mammal")), {"mammal"}),
        (tree(("concept", "is-a", "mammal"), ("code", "=", "cat")), {"cat"}),
        ({"system": f"{OURS}/tree", "concept": [{"code": "stone"}]}, {"stone"}),
        ({"valueSet": [f"{OURS}/vs/two"]}, {"cat", "stone"}),
        ({"valueSet": [f"{OURS}/vs/two"], **tree(("concept", "is-a", "animal"))}, {"cat"}),
    ],
)
def test_compose_enumerates(include, expected):
    two = value_set(
        "two", [{"system": f"{OURS}/tree", "concept": [{"code": "cat"}, {"code": "stone"}]}]
    )
    terminology = service(two, value_set("set", [include]))
    assert {coding["code"] for coding in terminology.expand(f"{OURS}/vs/set")} == expected


def test_exclusion_takes_codes_away():
    without = value_set("set", [{"system": f"{OURS}/tree"}], [tree(("concept", "is-a", "animal"))])
    assert service(without).expand(f"{OURS}/vs/set") == [
        {"system": f"{OURS}/tree", "code": "stone"}
    ]


@pytest.mark.parametrize(
    ("include", "code", "answer"),
    [
        ({"system": f"{OURS}/fragment"}, "known", True),
        ({"system": f"{OURS}/fragment"}, "other", None),
        (
            {
                "system": f"{OURS}/tree",
                "filter": [{"property": "constraint", "op": "=", "value": "<<1"}],
            },
            "cat",
            False,
        ),
        (
            {
                "system": f"{OURS}/tree",
                "filter": [{"property": "code", "op": "unheard-of", "value": "c.*"}],
            },
            "cat",
            None,
        ),
        ({"valueSet": [f"{OURS}/vs/missing"]}, "cat", None),
        ({"valueSet": [f"{OURS}/vs/set"]}, "cat", None),
        ({"valueSet": [f"{OURS}/vs/missing"], **tree(("concept", "is-a", "bird"))}, "bird", None),
        ({"valueSet": [f"{OURS}/vs/missing"], **tree(("concept", "is-a", "bird"))}, "cat", None),
    ],
)
def test_what_is_not_held_in_full_stays_undecided(include, code, answer):
    system = include.get("system", f"{OURS}/tree")
    assert (
        service(value_set("set", [include])).validate_code(f"{OURS}/vs/set", system, code) is answer
    )


def test_an_exclusion_that_cannot_be_listed_leaves_its_system_undecided():
    unknown = {
        "system": f"{OURS}/tree",
        "filter": [{"property": "code", "op": "unheard-of", "value": "c.*"}],
    }
    terminology = service(value_set("set", [{"system": f"{OURS}/tree"}], [unknown]))
    assert terminology.validate_code(f"{OURS}/vs/set", f"{OURS}/tree", "cat") is None
    assert terminology.validate_code(f"{OURS}/vs/set", f"{OURS}/other", "cat") is False


def test_a_stored_expansion_serves_where_there_is_no_compose():
    stored = {
        "resourceType": "ValueSet",
        "url": f"{OURS}/vs/stored",
        "expansion": {
            "contains": [
                {
                    "system": "s",
                    "code": "group",
                    "abstract": True,
                    "contains": [{"system": "s", "code": "leaf", "display": "Leaf"}],
                }
            ]
        },
    }
    leaf = {"system": "s", "code": "leaf", "display": "Leaf"}
    assert service(stored).expand(f"{OURS}/vs/stored") == [leaf]


def test_aliases_of_a_system_are_the_system():
    opcs = value_set(
        "opcs", [{"system": "https://fhir.hl7.org.uk/Id/opcs-4", "concept": [{"code": "H41.1"}]}]
    )
    terminology = service(opcs)
    for uri in (systems.OPCS_4, "http://fhir.hl7.org.uk/CodeSystem/OPCS-4"):
        assert terminology.validate_code(f"{OURS}/vs/opcs", uri, "H41.1") is True
    assert terminology.expand(f"{OURS}/vs/opcs") == [{"system": systems.OPCS_4, "code": "H41.1"}]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [("no-such", 404, "not-found"), ("condition-code", 422, "not-supported")],
)
def test_a_value_set_that_cannot_be_listed_says_why(url, status, code):
    with pytest.raises(FhirError) as refused:
        STANDARD.expand(f"{HL7}/ValueSet/{url}")
    assert refused.value.status == status
    assert [issue.code for issue in refused.value.issues] == [code]
    assert url in refused.value.issues[0].diagnostics


@pytest.mark.parametrize(
    ("system", "code", "answer"),
    [
        (f"{HL7}/observation-status", "final", True),
        (f"{HL7}/observation-status", "finished", False),
        (systems.SNOMED_CT, "404684003", None),
        ("urn:unheard-of", "x", None),
    ],
)
def test_a_code_exists_in_its_system(system, code, answer):
    assert STANDARD.validate_in_system(system, code) is answer


def test_lookup_gives_the_concept_without_its_children():
    assert service().lookup(f"{OURS}/tree", "mammal") == {"code": "mammal", "display": "Mammal"}
    assert service().lookup(f"{OURS}/tree", "unicorn") is None
    assert service().lookup("urn:unheard-of", "unicorn") is None


def concept_map(name: str, unmapped: dict | None = None) -> dict:
    group = {
        "source": "from",
        "target": "to",
        "element": [
            {
                "code": "a",
                "target": [{"code": "A", "display": "Big A", "equivalence": "equivalent"}],
            },
            {
                "code": "b",
                "target": [{"code": "B", "equivalence": "wider"}, {"equivalence": "unmatched"}],
            },
            {"code": "c", "target": [{"code": "C", "equivalence": "disjoint"}]},
            {
                "code": "d",
                "target": [{"code": "D", "dependsOn": [{"property": "p", "value": "v"}]}],
            },
        ],
    }
    if unmapped is not None:
        group["unmapped"] = unmapped
    return {"resourceType": "ConceptMap", "url": f"{OURS}/cm/{name}", "group": [group]}


@pytest.mark.parametrize(
    ("code", "unmapped", "expected"),
    [
        ("a", None, [{"system": "to", "code": "A", "display": "Big A"}]),
        ("b", None, [{"system": "to", "code": "B"}]),
        ("c", None, []),
        ("d", None, []),
        ("z", None, []),
        ("z", {"mode": "provided"}, [{"system": "to", "code": "z"}]),
        ("c", {"mode": "provided"}, []),
        (
            "z",
            {"mode": "fixed", "code": "?", "display": "None"},
            [{"system": "to", "code": "?", "display": "None"}],
        ),
        ("z", {"mode": "other-map", "url": f"{OURS}/cm/other"}, [{"system": "to", "code": "z"}]),
        ("z", {"mode": "other-map", "url": f"{OURS}/cm/map"}, []),
    ],
)
def test_translate_gives_the_usable_targets(code, unmapped, expected):
    terminology = service(concept_map("map", unmapped), concept_map("other", {"mode": "provided"}))
    assert terminology.translate(f"{OURS}/cm/map", "from", code) == expected
    assert terminology.translate(f"{OURS}/cm/map", "another system", code) == []


def test_matches_keep_what_is_no_match():
    found = service(concept_map("map")).matches(f"{OURS}/cm/map", "from", "c")
    assert [(match.equivalence, match.coding["code"]) for match in found] == [("disjoint", "C")]


def test_an_unknown_concept_map_is_not_found():
    with pytest.raises(FhirError) as refused:
        STANDARD.translate(f"{OURS}/cm/none", "from", "a")
    assert refused.value.status == 404


def test_every_value_set_of_the_standard_compiles():
    compiled = [STANDARD.members(url) for url in definitions.urls("ValueSet")]
    listed = [each for each in compiled if not (each.undecided or each.is_open or each.rules)]
    assert len(listed) > 1200
