"""Reports stored: each in place of the one before it for the same measure, period, and whom it is about."""

from collections.abc import Sequence
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.transaction import transaction
from outcome_engine.reports.groups import HOSPITAL
from r4.json import Resource
from terminology.systems import CSOR

REPORT = f"{CSOR}/sid/measure-report"
KEPT_AT_ONCE = 20
"""Reports stored by one transaction; others are served between two."""


async def kept(context: Context, reports: Sequence[Resource], objections: int) -> list[Resource]:
    """Store reports, and return them with their ids; not one of a Group that is not stored itself.

    objections: how things stood with them when what is reported was read; raises ObjectedError where
    that has changed.
    """
    found: list[Resource] = []
    size = min(KEPT_AT_ONCE, context.settings.max_entries)
    for start in range(0, len(reports), size):
        some = reports[start : start + size]
        numbered = [_numbered(report) for report in some if is_kept(report)]
        stored = iter(await _stored(context, numbered, objections))
        found += [next(stored) if is_kept(report) else report for report in some]
    return found


def is_kept(report: Resource) -> bool:
    """Tell whether a report is about somebody who can be named again."""
    return "reference" in report.get("subject", {"reference": ""})


async def _stored(
    context: Context, numbered: Sequence[Resource], objections: int
) -> list[Resource]:
    if not numbered:
        return []
    entries = [{"resource": report, "request": _in_place(report)} for report in numbered]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = await transaction(context, bundle, objections=objections)
    places = (entry["response"]["location"].split("/")[1] for entry in response["entry"])
    return [
        {"resourceType": "MeasureReport", "id": place, **report}
        for place, report in zip(places, numbered, strict=True)
    ]


def _in_place(report: Resource) -> Resource:
    criteria = urlencode({"identifier": _token(report)})
    return {"method": "PUT", "url": f"MeasureReport?{criteria}"}


def _numbered(report: Resource) -> Resource:
    hospitals = (e["valueReference"] for e in report["extension"] if e["url"] == HOSPITAL)
    about = report.get("subject") or next(hospitals, {"reference": "national"})
    period = report["period"]
    parts = [report["measure"].rpartition("/")[2], period["start"], period["end"]]
    parts.append(about["reference"])
    if report["type"] == "subject-list":
        parts.append("subject-list")
    return {**report, "identifier": [{"system": REPORT, "value": "/".join(parts)}]}


def _token(report: Resource) -> str:
    identifier = report["identifier"][0]
    value = identifier["value"].replace("|", r"\|")
    return f"{identifier['system']}|{value}"
