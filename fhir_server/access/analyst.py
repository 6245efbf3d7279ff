"""What an analyst may do, read and search by: each line with its reason; what is not listed is refused.

How what is read is answered, in pseudonyms, stands in `pseudonym_elements` and `rest.pseudonymised`.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Rule(NamedTuple):
    """Why an interaction is an analyst's; types: on these alone (None: on whatever it is)."""

    why: str
    types: frozenset[str | None] | None = None


ABOUT_A_CHILD = frozenset({
    "AllergyIntolerance", "Condition", "DiagnosticReport", "Encounter", "EpisodeOfCare",
    "Immunization", "MedicationAdministration", "MedicationRequest", "MedicationStatement",
    "Observation", "Patient", "Procedure", "QuestionnaireResponse", "ServiceRequest", "Specimen",
})  # fmt: skip
"""The types that are one child's, by `subject` or `patient`, and are shown in pseudonyms."""
ORGANIZATION, REPORT = "Organization", "MeasureReport"
READABLE: frozenset[str | None] = ABOUT_A_CHILD | {ORGANIZATION, REPORT}

_SHOWN = "It is answered in pseudonyms, of the elements that are listed as leaving."
_OPEN = "It is about no child."
ANALYST_MAY: Mapping[str, Rule] = {
    "capabilities": Rule(_OPEN),
    "smart-configuration": Rule(_OPEN),
    "read": Rule(_SHOWN, READABLE),
    "search-type": Rule(_SHOWN, READABLE),
    "$export": Rule(
        "Its files are written in pseudonyms, in an order that tells nothing.",
        frozenset({None, "Patient"}),
    ),
    "$bulk": Rule("An analyst is told of its own jobs alone."),
    "$validate-code": Rule(_OPEN),
    "$lookup": Rule(_OPEN),
    "$subsumes": Rule(_OPEN),
    "$expand": Rule(_OPEN),
    "$translate": Rule(_OPEN),
}
"""What is not here is refused: what writes, for an analyst changes nothing; versions and history, for
they say when what was stored; other operations, for they answer of children by their names."""

Kind = Literal["id", "reference", "code", "word"]
"""How a parameter is asked: by tokens, by `system|code` of what leaves, or by a word of the standard's."""
_CHILDS: Mapping[str, Kind] = {"_id": "id", "patient": "reference"}
_VISIT: Mapping[str, Kind] = {**_CHILDS, "encounter": "reference"}
_STATUS: Mapping[str, Kind] = {"status": "word"}
SEARCHED: Mapping[str, Mapping[str, Kind]] = {
    "AllergyIntolerance": {
        **_CHILDS, "code": "code", "clinical-status": "code", "verification-status": "code",
        "category": "word", "criticality": "word", "type": "word",
    },
    "Condition": {
        **_VISIT, "code": "code", "category": "code", "clinical-status": "code",
        "verification-status": "code", "severity": "code", "body-site": "code",
    },
    "DiagnosticReport": {**_VISIT, **_STATUS, "code": "code", "category": "code"},
    "Encounter": {
        **_CHILDS, **_STATUS, "class": "code", "type": "code", "episode-of-care": "reference",
        "service-provider": "reference", "part-of": "reference",
    },
    "EpisodeOfCare": {**_CHILDS, **_STATUS, "type": "code", "organization": "reference"},
    "Immunization": {**_CHILDS, **_STATUS, "vaccine-code": "code"},
    "MeasureReport": {**_STATUS, "_id": "id", "hospital": "reference"},
    "MedicationAdministration": {**_CHILDS, **_STATUS, "code": "code"},
    "MedicationRequest": {**_VISIT, **_STATUS, "code": "code", "intent": "word"},
    "MedicationStatement": {**_CHILDS, **_STATUS, "code": "code"},
    "Observation": {
        **_VISIT, **_STATUS, "code": "code", "category": "code", "value-concept": "code",
        "component-code": "code", "component-value-concept": "code",
    },
    "Organization": {"_id": "id", "type": "code", "partof": "reference"},
    "Patient": {"_id": "id", "gender": "word", "deceased": "word", "active": "word"},
    "Procedure": {**_VISIT, **_STATUS, "code": "code", "category": "code"},
    "QuestionnaireResponse": {**_VISIT, **_STATUS},
    "ServiceRequest": {**_VISIT, **_STATUS, "code": "code", "category": "code", "intent": "word"},
    "Specimen": {**_CHILDS, **_STATUS, "type": "code"},
}  # fmt: skip
"""By what each type may be searched: by nothing that an analyst is not shown, for a match would tell it."""
DATED = "Dates are shifted for each child: a search by {name} would tell of the true ones."
HIDDEN = "An analyst may not search {kind} by {name}; by: {known}."


def refused(interaction: str, resource_type: str | None = None) -> str:
    """Say why an analyst may not do an interaction on a type; "" where it may."""
    rule = ANALYST_MAY.get(interaction)
    if rule is None:
        return f"{interaction} is not for an analyst."
    if rule.types is not None and resource_type not in rule.types:
        return f"{interaction} of {resource_type} is not for an analyst."
    return ""
