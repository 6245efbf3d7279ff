"""The mapping tables as a page for integrators: which field and component goes where, or why nowhere."""

from collections.abc import Iterator, Sequence

from mappings.hl7v2 import tables
from mappings.hl7v2.compile import WHOLE
from mappings.hl7v2.rows import SegmentRow

BEGIN = "<!-- tables: written by mappings.hl7v2.reference -->"
_OF_COMPONENTS = "| component | name | FHIR element | how | remarks |\n|---|---|---|---|---|"
_OF_FIELDS = "| field | name | FHIR element | how | remarks |\n|---|---|---|---|---|"


def page(current: str) -> str:
    """Return a document with everything after the BEGIN mark written anew from the tables."""
    return current.partition(BEGIN)[0] + BEGIN + "\n\n" + reference()


def reference() -> str:
    """Return the tables of events, fields and components as Markdown."""
    return "\n".join([*_events(), "", *_segments(), "", *_datatypes()]) + "\n"


def _events() -> Iterator[str]:
    yield "## Messages\n"
    yield "| type | event | table | status of the visit | remarks |\n|---|---|---|---|---|"
    for row in tables.rows("events.csv"):
        event = f"{row['Message Code']}^{row['Trigger Event']}"
        remarks = "; ".join(part for part in (row["Comments"], _need(row)) if part)
        cells = (event, row["Name"], row["Structure"], row["Encounter Status"] or "none", remarks)
        yield _line(cells)


def _need(row: tables.Row) -> str:
    return "PV1-19 or PV1-44 required" if row["Needs Visit"] == "yes" else ""


def _segments() -> Iterator[str]:
    yield "## Fields"
    for name, rows in tables.segment_maps().items():
        yield f"\n### {name}"
        if fields := list(_fields(name, rows)):
            yield f"\n{_OF_FIELDS}"
            yield from map(_line, fields)
        yield from _left_out([row for row in rows if not row.target])


def _datatypes() -> Iterator[str]:
    yield "## Components"
    for name, rows in tables.datatype_maps().items():
        yield f"\n### {name}"
        if any(row.target for row in rows):
            yield f"\n{_OF_COMPONENTS}"
            yield from map(_line, _components(name, rows))
        yield from _left_out([row for row in rows if not row.target])


def _components(name: str, rows: Sequence[SegmentRow]) -> Iterator[tuple[str, ...]]:
    kind = name.partition("[")[2].rstrip("]").partition("-")[0]
    for row in rows:
        if row.target:
            element = f"`{kind}`" if row.target == WHOLE else f"`{kind}.{row.target}`"
            yield row.identifier, row.name, element, _how(row), row.comment


def _fields(name: str, rows: Sequence[SegmentRow]) -> Iterator[tuple[str, ...]]:
    resource = name.partition("[")[2].rstrip("]").partition("-")[0]
    for row in rows:
        if row.target:
            required = " (required)" if row.minimum else ""
            element = f"`{resource}.{row.target}`"
            yield row.identifier, row.name + required, element, _how(row), row.comment


def _left_out(rows: Sequence[SegmentRow]) -> Iterator[str]:
    """Yield the fields that go to no element of their own, together where the reason is the same."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.comment, []).append(f"{row.identifier} {row.name}")
    if reasons:
        yield "\nWithout an element of their own:\n"
    for reason, fields in reasons.items():
        yield f"- {', '.join(fields)}: {reason}"


def _how(row: SegmentRow) -> str:
    if row.vocabulary:
        return f"code map {row.vocabulary}"
    if row.assignment:
        return f"always `{row.assignment[1:-1]}`"
    named = row.function or row.datatype_map
    return f"`{named}`" if named else "text"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
