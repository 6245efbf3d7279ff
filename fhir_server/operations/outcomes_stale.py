"""Stored summaries that are no longer what would be computed are marked, once, by the transaction door.

A mark says since when; the report computed anew, which takes the place of the old one, has none.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fhir_server.access import REGISTRY
from fhir_server.context import Context, Principal, instant, microseconds
from fhir_server.interactions.update import update
from fhir_server.operations.outcomes_rescored import Affected
from fhir_server.store import read as store
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology.systems import CSOR

STALE = f"{CSOR}/StructureDefinition/report-stale"
OBJECTED = f"{CSOR}/StructureDefinition/report-objected"
"""Of a stale summary that counts a child about whom somebody objects: it is to be made anew."""
HOSPITAL = f"{CSOR}/StructureDefinition/outcome-hospital"
PROVENANCE = f"{CSOR}/StructureDefinition/report-provenance"
OUTCOMES = Principal("outcomes", frozenset({REGISTRY}))
"""Who marks reports on the server's behalf."""
_CHANGED = (409, 412)
_DAY = len("2018-01-31")


async def mark(context: Context, affected: Sequence[Affected]) -> int:
    """Mark the summaries that outcomes have made stale, unless they are; returns how many.

    A report that has been changed meanwhile is looked at again.
    """
    marked = 0
    for measure in dict.fromkeys(each.measure for each in affected):
        changes = [each for each in affected if each.measure == measure]
        for report in summaries(context, measure):
            marked += await _marked(context, report, changes)
    return marked


def summaries(context: Context, measure: str) -> list[Resource]:
    """Return the stored reports of a measure that are not about one child."""
    criteria = urlencode({"measure": measure, "patient:missing": "true"})
    found = store.every(context.database, "MeasureReport", criteria)
    return [decode(stored.body) for stored in found]


async def _marked(context: Context, report: Resource, changes: Iterable[Affected]) -> bool:
    listed = list(changes)
    while marks := due(report, listed):
        said = [{"url": each, "valueInstant": instant(context.now())} for each in marks]
        marked = {**report, "extension": [*report.get("extension", ()), *said]}
        version = f'W/"{report["meta"]["versionId"]}"'
        try:
            await update(context.asked_by(OUTCOMES), marked, report["id"], version)
        except FhirError as refusal:
            if refusal.status not in _CHANGED:
                raise
            found = store.current(context.database, "MeasureReport", report["id"])
            if found is None or found.deleted:
                return False
            report = decode(found.body)
        else:
            return True
    return False


def due(report: Resource, changes: Iterable[Affected]) -> list[str]:
    """Return the marks that a report lacks, by what has changed of the children that it counts."""
    if report.get("type") == "individual":
        return []
    counted = list(_counted(report, changes))
    marks = [STALE] if counted else []
    marks += [OBJECTED] if any(each.objected for each in counted) else []
    return [each for each in marks if not any(_values(report, each))]


def _counted(report: Resource, changes: Iterable[Affected]) -> Iterator[Affected]:
    """Yield the changes of children that a report counts and that are newer than what it was made of."""
    made = _made(report)
    hospital = next((value["reference"] for value in _values(report, HOSPITAL)), None)
    for each in changes:
        if (
            (each.everywhere or hospital in (None, each.hospital))
            and _is_of(report.get("period", {}), each.case_date)
            and made < each.moment
        ):
            yield each


def _is_of(period: Resource, case_date: str) -> bool:
    """Tell whether a case began in a period, or may have."""
    first, last = period.get("start", "")[:_DAY], period.get("end", "9999")[:_DAY]
    known = len(case_date)
    return bool(first[:known] <= case_date <= last[:known])


def _made(report: Resource) -> int:
    """Return the moment whose data a report was made from, or when it was made, in microseconds."""
    for extension in report.get("extension", ()):
        if extension["url"] == PROVENANCE:
            for part in extension["extension"]:
                if part["url"] == "snapshot":
                    return microseconds(datetime.fromisoformat(part["valueInstant"]))
    date = report.get("date")
    return microseconds(datetime.fromisoformat(date)) if date and len(date) > _DAY else 0


def _values(report: Resource, url: str) -> Iterator[Any]:
    for extension in report.get("extension", ()):
        if extension["url"] == url:
            yield from (value for name, value in extension.items() if name.startswith("value"))
