"""Children's records flattened for the batch, and both evaluators' rows side by side."""

from collections.abc import Sequence
from typing import Any

import outcome_engine
from outcome_engine import staging
from outcome_engine.batch import batch, columns, tables
from outcome_engine.batch.arrow import arrow
from outcome_engine.definitions.definition import measure as of_url
from outcome_engine.definitions.definition import outline
from outcome_engine.parameter_files.parameter_file import NONE, Parameters
from outcome_engine.views.view import view
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology

Records = Sequence[list[Resource]]
Outcomes = dict[str, dict[str, Any]]
"""Outcome rows by child."""


def staged(records: Records, measure: str) -> dict[str, Any]:
    """Flatten records; a child is its first active Patient, or its first."""
    found = {}
    for view_id in outline(measure).views:
        rows = [
            row
            for record in records
            for row in staging.stage(view(view_id), child(record), of(view_id, record))
        ]
        found[view_id] = arrow(view(view_id), rows)
    return found


def of(view_id: str, record: list[Resource]) -> list[Resource]:
    return [each for each in record if each["resourceType"] == view(view_id).resource]


def child(record: list[Resource]) -> str:
    patients = [each for each in record if each["resourceType"] == "Patient"]
    active = [each for each in patients if each.get("active") is not False]
    return (active or patients)[0]["id"]


def many(
    records: Records,
    measure: str,
    as_of: str,
    terminology: Terminology,
    *,
    parameters: Parameters = NONE,
    put: Any = tables.in_duckdb,
    keep: Any = batch.as_it_is,
) -> Outcomes:
    """Evaluate by the batch; put makes tables of a back end, keep holds what it reads again."""
    file = parameters.of(of_url(measure), as_of)
    found = put(staged(records, measure))
    known = batch.memberships(found, measure, terminology, file)
    rows = batch.outcomes(found, measure, as_of, known, file, keep).to_pyarrow().to_pylist()
    return {row["child"]: row for row in rows}


def one_by_one(
    records: Records,
    measure: str,
    as_of: str,
    terminology: Terminology,
    parameters: Parameters = NONE,
) -> tuple[Outcomes, dict[str, str]]:
    """Evaluate child by child: the rows, and the reasons of those that are refused."""
    rows, refused = {}, {}
    for record in records:
        try:
            outcome = outcome_engine.assess(measure, record, as_of, terminology, parameters)
        except FhirError as refusal:
            refused[child(record)] = str(refusal)
        else:
            rows[child(record)] = columns.row(outline(measure), outcome)
    return rows, refused


def numbered(records: Records) -> list[list[Resource]]:
    """Give each record's resources ids of their own, so that many records are of many children."""
    return [_numbered(record, number) for number, record in enumerate(records)]


def _numbered(node: Any, number: int) -> Any:
    if isinstance(node, list):
        return [_numbered(each, number) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _numbered(value, number) for key, value in node.items()}
    if "resourceType" in node:
        changed["id"] = f"{number}-{node['id']}"
    kind, slash, id = str(node.get("reference", "")).partition("/")
    if slash and kind not in ("Organization", "Practitioner"):
        changed["reference"] = f"{kind}/{number}-{id}"
    return changed
