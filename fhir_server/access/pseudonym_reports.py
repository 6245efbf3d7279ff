"""Published MeasureReports, as an analyst is shown them: summaries about many children, and disclosed.

Their numbers, periods and limitations are as published, for they are about no child; hospitals are named
by their tokens.
https://hl7.org/fhir/R4/measurereport.html
"""

from collections.abc import Callable
from typing import Any

from fhir_server.access.pseudonym_elements import META
from fhir_server.store.whose import EVERYBODYS, REGISTRYS, Whose
from r4.json import Resource
from r4.reference import literal
from terminology.systems import CSOR

_HOSPITALS = f"{CSOR}/StructureDefinition/outcome-hospital"
_DISCLOSED = f"{CSOR}/StructureDefinition/outcome-disclosure"
_LEAVES = (
    "extension", "status", "type", "measure", "date", "reporter", "period", "improvementNotation",
    "group",
)  # fmt: skip
_DROPPED = frozenset({"display", "identifier", "subjectResults"})

Refer = Callable[[str], str | None]


def is_published(report: Resource, whose: Whose) -> bool:
    """Tell whether a report is a summary that left by the rule of disclosure; whose: as it is stored.

    The nation's is exact but for what it says of hospitals (ADR 0011); any other one says that it was
    disclosed.
    """
    if report.get("type") != "summary" or whose == REGISTRYS or "contained" in report:
        return False
    urls = {each.get("url") for each in report.get("extension", ())}
    is_national = whose is EVERYBODYS and _HOSPITALS not in urls and "subject" not in report
    return is_national or _DISCLOSED in urls


def leaving(report: Resource, refer: Refer) -> Resource:
    """Return what leaves of a published report, without its id."""
    found = {name: _said(report[name], refer) for name in _LEAVES if name in report}
    return {"meta": META, **{name: value for name, value in found.items() if value is not None}}


def _said(node: Any, refer: Refer) -> Any:
    """Return a part of a report with its references in tokens; what only named somebody is dropped."""
    if isinstance(node, list):
        made = [said for each in node if (said := _said(each, refer)) is not None]
        return made or None
    if isinstance(node, dict):
        made_of = {
            key: said
            for key, value in node.items()
            if key not in _DROPPED and (said := _said(value, refer)) is not None
        }
        return made_of or None
    if isinstance(node, str) and (named := literal(node)) and named.base is None:
        return refer(node)
    return node
