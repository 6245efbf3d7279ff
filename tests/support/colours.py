"""Terminology resources that use most of what theirs may hold, for what uses and spoils them."""

from r4.json import Resource
from terminology.systems import SNOMED_CT

OURS = "https://example.org"
COLOURS, REDS, MAP = f"{OURS}/colours", f"{OURS}/vs", f"{OURS}/map"
SYSTEM: Resource = {
    "resourceType": "CodeSystem",
    "url": COLOURS,
    "version": "1",
    "status": "active",
    "content": "complete",
    "valueSet": REDS,
    "hierarchyMeaning": "is-a",
    "filter": [{"code": "warm", "operator": ["=", "in"], "value": "a code"}],
    "property": [
        {"code": "warm", "type": "boolean"},
        {"code": "parent", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#parent"},
        {"code": "status", "type": "code"},
        {"code": "inactive", "type": "boolean"},
    ],
    "concept": [
        {
            "code": "red",
            "display": "Red",
            "definition": "As blood.",
            "designation": [{"language": "de", "value": "Rot", "use": {"code": "x", "system": OURS}}],
            "property": [{"code": "warm", "valueBoolean": True}],
            "concept": [
                {"code": "pink", "property": [{"code": "parent", "valueCode": "blue"}]},
                {"code": "old", "property": [{"code": "inactive", "valueBoolean": True}]},
            ],
        },
        {"code": "blue", "display": "Blue", "property": [{"code": "parent", "valueCode": "pink"}]},
    ],
}  # fmt: skip
SUPPLEMENT: Resource = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/colours-in-french",
    "status": "active",
    "content": "supplement",
    "supplements": f"{COLOURS}|1",
    "concept": [
        {
            "code": "red",
            "designation": [{"language": "fr", "value": "Rouge"}],
            "property": [{"code": "warm", "valueBoolean": True}],
        }
    ],
}
SET: Resource = {
    "resourceType": "ValueSet",
    "url": REDS,
    "status": "active",
    "compose": {
        "lockedDate": "2020-01-01",
        "inactive": True,
        "include": [
            {"system": COLOURS, "concept": [{"code": "red", "designation": [{"value": "R"}]}]},
            {"system": COLOURS, "version": "1"},
            {"system": COLOURS, "filter": [{"property": "concept", "op": "is-a", "value": "red"}]},
            {"system": COLOURS, "filter": [{"property": "warm", "op": "=", "value": "true"}]},
            {"system": COLOURS, "filter": [{"property": "code", "op": "regex", "value": "r.*("}]},
            {"system": COLOURS, "filter": [{"property": "parent", "op": "exists", "value": "true"}]},
            {"system": COLOURS, "filter": [{"property": "concept", "op": "in", "value": "red,blue"}]},
            {"system": COLOURS, "filter": [{"property": "concept", "op": "generalizes", "value": "x"}]},
            {"valueSet": [REDS, f"{REDS}|2", "http://hl7.org/fhir/ValueSet/observation-status"]},
            {"system": SNOMED_CT, "filter": [{"property": "constraint", "op": "=", "value": "<< 1"}]},
        ],
        "exclude": [{"system": COLOURS, "concept": [{"code": "blue"}]}],
    },
    "expansion": {
        "timestamp": "2020-01-01T00:00:00Z",
        "parameter": [{"name": "filter", "valueString": "x"}],
        "contains": [
            {"system": COLOURS, "code": "red", "contains": [{"system": COLOURS, "code": "pink"}]},
            {"abstract": True, "display": "none", "contains": [{"system": COLOURS, "code": "old"}]},
        ],
    },
}  # fmt: skip
CONCEPT_MAP: Resource = {
    "resourceType": "ConceptMap",
    "url": MAP,
    "status": "active",
    "sourceCanonical": REDS,
    "targetUri": REDS,
    "group": [
        {
            "source": COLOURS,
            "target": f"{OURS}/paints",
            "element": [
                {
                    "code": "red",
                    "target": [
                        {"code": "vermilion", "equivalence": "wider"},
                        {
                            "code": "x",
                            "equivalence": "equal",
                            "dependsOn": [{"property": "p", "value": "v", "system": OURS}],
                            "product": [{"property": "p", "value": "v"}],
                        },
                        {"equivalence": "unmatched", "comment": "none"},
                    ],
                },
                {"code": "blue"},
            ],
            "unmapped": {"mode": "fixed", "code": "other"},
        },
        {
            "source": COLOURS,
            "element": [{"code": "pink", "target": [{"equivalence": "disjoint", "code": "y"}]}],
            "unmapped": {"mode": "other-map", "url": MAP},
        },
    ],
}

TERMINOLOGIES = (SYSTEM, SUPPLEMENT, SET, CONCEPT_MAP)
CODES = ("red", "pink", "blue", "old", "nothing")
