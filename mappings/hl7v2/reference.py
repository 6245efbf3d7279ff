"""The mapping tables as a page for integrators: which messages, and which field goes where."""

from collections.abc import Iterator

from mappings.hl7v2 import tables

BEGIN = "<!-- tables: written by mappings.hl7v2.reference -->"


def page(current: str) -> str:
    """Return a document with everything after the BEGIN mark written anew from the tables."""
    return current.partition(BEGIN)[0] + BEGIN + "\n\n" + reference()


def reference() -> str:
    """Return the tables of events and fields as Markdown."""
    return "\n".join([*_events(), "", *_segments()]) + "\n"


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
    for name in tables.names("segments"):
        yield f"\n### {name}\n"
        yield "| field | name | FHIR element | how | remarks |\n|---|---|---|---|---|"
        for row in tables.rows(f"segments/{name}.csv"):
            target = row["Segment Map"].partition("[")[2].rstrip("]").partition("-")[0]
            element = f"`{target}.{row['FHIR Attribute']}`" if target else ""
            required = " (required)" if row["Cardinality - Min"] == "1" else ""
            how = _how(row)
            yield _line((row["Identifier"], row["Name"] + required, element, how, row["Comments"]))


def _how(row: tables.Row) -> str:
    if row["Vocabulary Mapping"]:
        return f"code map {row['Vocabulary Mapping']}"
    if row["Assignment"]:
        return f"always `{row['Assignment']}`"
    named = row["Function"] or row["Data Type Mapping"]
    return f"`{named}`" if named else ("text" if row["FHIR Attribute"] else "")


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
