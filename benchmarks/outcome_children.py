"""Children whose outcomes are computed: the engine's golden records, again and again. Nobody exists.

A child has fifteen resources or more: what its golden record holds, and what a hospital has sent about
any child beside: weights, visits, diagnoses, operations that decide nothing.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import outcome_engine
from benchmarks.records import OBSERVATION
from r4.json import decode, encode

RESOURCES = 15
"""Resources of a child, at least."""
HOSPITALS = 30
NUMBER, HOSPITAL = "@number@", "@hospital@"
_EXAMPLES = Path(outcome_engine.__file__).parent / "examples" / "hirschsprung-core-outcome"
_LEFT_OUT = ("basedOn", "encounter", "performer", "device", "identifier", "meta", "id")
Resource = dict[str, Any]


def hospitals() -> Iterator[Resource]:
    """Yield the hospitals."""
    for number in range(HOSPITALS):
        name = f"Fictitious hospital {number}"
        yield {"resourceType": "Organization", "id": f"h{number}", "name": name}


def child(number: int) -> list[Resource]:
    """Return one child's resources: the Patient first, each with its id."""
    templates = _templates()
    text = templates[number % len(templates)]
    filled = text.replace(NUMBER, f"b{number}").replace(HOSPITAL, f"h{number % HOSPITALS}")
    found: list[Resource] = decode(filled)
    return found


def kinds() -> int:
    """Return how many golden records there are: so many children on, one is like this one."""
    return len(_templates())


@cache
def _templates() -> list[str]:
    """Return the golden records as texts with places for a number and a hospital."""
    return [
        encode([*record, *_beside(RESOURCES - len(record))]).decode()
        for record in map(_record, sorted(_EXAMPLES.glob("*.bundle.json")))
        if sum(each["resourceType"] == "Patient" for each in record) == 1
    ]


def _record(path: Path) -> list[Resource]:
    bundle = json.loads(path.read_text(encoding="utf-8"))
    listed = [entry["resource"] for entry in bundle["entry"]]
    listed.sort(key=lambda each: each["resourceType"] != "Patient")
    found = []
    for each in listed:
        if each["resourceType"] == "Organization":
            continue
        each.pop("identifier", None)  # a number of the NHS is one child's
        found.append(_numbered({**each, "id": f"{NUMBER}-{each['id']}"}))
    return found


def _numbered(node: Any) -> Any:
    """Return a part of a resource, what it refers to numbered as the child's."""
    if isinstance(node, list):
        return [_numbered(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: _numbered(value) for name, value in node.items()}
    kind, _, id = str(found.get("reference", "")).partition("/")
    if id:
        own = f"Organization/{HOSPITAL}" if kind == "Organization" else f"{kind}/{NUMBER}-{id}"
        found["reference"] = own
    return found


def _beside(many: int) -> Iterator[Resource]:
    """Yield resources that decide nothing: visits, a diagnosis, weights of about 1 kB."""
    subject = {"reference": f"Patient/{NUMBER}-child"}
    kept = {name: value for name, value in OBSERVATION.items() if name not in _LEFT_OUT}
    visit = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    for place in range(many):
        own = {"id": f"{NUMBER}-beside-{place}", "subject": subject}
        if place % 5 == 4:
            period = {"start": f"2019-0{place % 9 + 1}-05T09:30:00Z"}
            yield {"resourceType": "Encounter", **own, "status": "finished", "class": visit,
                   "period": period}  # fmt: skip
        else:
            yield {**kept, **own, "effectiveDateTime": f"2019-0{place % 9 + 1}-05T09:30:00Z"}
