"""A child's gaps as a document: a Composition, and by each measure the report and a DetectedIssue a gap.

http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-gapsincarebundle and
http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-gapsincaredetectedissue
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.operations.care_gaps_found import Gap
from fhir_server.operations.evaluation_reports import REGISTRY
from r4.json import Resource
from terminology.systems import CSOR, LOINC

_DEQM = "http://hl7.org/fhir/uv/deqm"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_TYPE = {"coding": [{"system": LOINC, "code": "96315-7", "display": "Gaps in care report"}]}
_CLOSED = "Nothing is missing."


@dataclass(frozen=True, slots=True)
class Section:
    """A child's report by one measure, the status of its data, and what is missing."""

    report: Resource
    status: str
    gaps: tuple[Gap, ...]


def document(
    context: Context, child: str, sections: Sequence[Section], resources: Mapping[str, Resource]
) -> Resource:
    """Return the document Bundle of a child (`Patient/id`), with the resources that the reports name."""
    now = instant(context.now())
    made: list[Resource] = []
    listed: list[Resource] = []
    for section in sections:
        report = _entry(context, section.report)
        issues = [_entry(context, each) for each in _issues(section, child, report["fullUrl"], now)]
        listed += [report, *issues]
        made.append(_section(section, report["fullUrl"], [each["fullUrl"] for each in issues]))
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": _TYPE,
        "subject": {"reference": child},
        "date": now,
        "author": [REGISTRY],
        "title": f"Data that are missing of {child}",
        "section": made,
    }
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{context.new_id()}"},
        "type": "document",
        "timestamp": now,
        "entry": [
            _entry(context, composition),
            *listed,
            *_known(context, child, sections, resources),
        ],
    }


def _entry(context: Context, resource: Resource) -> Resource:
    return {"fullUrl": f"urn:uuid:{context.new_id()}", "resource": resource}


def _known(
    context: Context, child: str, sections: Sequence[Section], resources: Mapping[str, Resource]
) -> list[Resource]:
    """Return the entries of the child and of what the reports rest on, each once."""
    used = [e["reference"] for s in sections for e in s.report["evaluatedResource"]]
    places = [each for each in dict.fromkeys([child, *used]) if each in resources]
    return [
        {"fullUrl": f"{context.base_url}/{each}", "resource": resources[each]} for each in places
    ]


def _section(section: Section, report: str, issues: Sequence[str]) -> Resource:
    measure = outcome_engine.measures()[section.report["measure"].partition("|")[0]]
    said = [f"{each.title}: {each.detail}" for each in section.gaps] or [_CLOSED]
    items = "".join(f"<li>{escape(each)}</li>" for each in said)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{items}</ul></div>'
    return {
        "title": measure["title"],
        "focus": {"reference": report},
        "text": {"status": "generated", "div": div},
        "entry": [{"reference": each} for each in issues],
    }


def _issues(section: Section, child: str, report: str, now: str) -> list[Resource]:
    """Return a DetectedIssue for each gap; of a measure without any, the one that says so."""
    if section.gaps:
        return [_issue(section, child, report, now, each) for each in section.gaps]
    return [_issue(section, child, report, now, None)]


def _issue(section: Section, child: str, report: str, now: str, gap: Gap | None) -> Resource:
    codings = [{"system": _ACT, "code": "CAREGAP"}]
    text = _CLOSED if gap is None else gap.title
    if gap is not None:
        codings.append({"system": f"{CSOR}/CodeSystem/data-gap", "code": gap.code})
    status = {"system": f"{_DEQM}/CodeSystem/deqm-gaps-status", "code": section.status}
    made: Resource = {
        "resourceType": "DetectedIssue",
        "modifierExtension": [
            {
                "url": f"{_DEQM}/StructureDefinition/deqm-gapStatus",
                "valueCodeableConcept": {"coding": [status]},
            }
        ],
        "status": "final",
        "code": {"coding": codings, "text": text},
        "patient": {"reference": child},
        "identifiedDateTime": now,
        "evidence": [{"detail": [{"reference": report}]}],
        "detail": _CLOSED if gap is None else gap.detail,
    }
    if gap is not None and gap.implicated:
        made["implicated"] = [{"reference": each} for each in gap.implicated]
    return made
