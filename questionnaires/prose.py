"""A response as XHTML for people to read: each group a heading, each question with its answers.

Texts of questions and options are the form's, not the response's copies. Everything is escaped.
https://hl7.org/fhir/R4/narrative.html
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from questionnaires.comparison import same
from questionnaires.elements import (
    CORE,
    Item,
    answers,
    below,
    extension_value,
    has_content,
    pairs,
    value_of,
)
from questionnaires.options import offered
from r4 import dates
from r4.json import Resource

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_DEEPEST = 6


def narrative(questionnaire: Resource, response: Resource) -> str:
    """Return the XHTML div of a response's answers, in the form's order."""
    found = pairs(questionnaire.get("item", []), response.get("item", []))
    return _div("".join(_item(definition, item, 3) for definition, item in found))


def section(definition: Item, item: Item) -> str:
    """Return the XHTML div of one group's answers, without the group's own heading."""
    return _div(_table(definition, item) + _groups(definition, item, 3))


def _div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content or "<p>No answers.</p>"}</div>'


def _item(definition: Item, item: Item, level: int) -> str:
    if not has_content(item):
        return ""
    if definition["type"] != "group":
        return f"<table><tbody>{_row(definition, item)}</tbody></table>"
    heading = f"<h{level}>{escape(definition.get('text', ''))}</h{level}>"
    return heading + _table(definition, item) + _groups(definition, item, min(level + 1, _DEEPEST))


def _groups(definition: Item, item: Item, level: int) -> str:
    found = below(definition, item)
    return "".join(_item(*pair, level) for pair in found if pair[0]["type"] == "group")


def _table(definition: Item, item: Item) -> str:
    rows = "".join(_rows(definition, item))
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def _rows(definition: Item, item: Item) -> Iterator[str]:
    for child, child_item in below(definition, item):
        if child["type"] != "group":
            yield _row(child, child_item)
            yield from _rows(child, child_item)


def _row(definition: Item, item: Item) -> str:
    shown = "<br/>".join(_answers(definition, item))
    return (
        f"<tr><th>{escape(definition.get('text', ''))}</th><td>{shown}</td></tr>" if shown else ""
    )


def _answers(definition: Item, item: Item) -> Iterator[str]:
    unit = extension_value(definition, CORE + "questionnaire-unit") or {}
    suffix = f" {unit.get('display') or unit.get('code')}" if unit else ""
    for answer in answers(item):
        if (found := value_of(answer)) is not None:
            text = escape(_text(definition, *found) + suffix)
            yield text.replace("\r\n", "<br/>").replace("\n", "<br/>")


def _text(definition: Item, kind: str, value: Any) -> str:
    if kind == "Coding":
        chosen = (option for _, option in offered(definition) if same(value, option))
        coding = next(chosen, value)
        return str(coding.get("display") or value.get("display") or value.get("code", ""))
    if kind == "Boolean":
        return "Yes" if value else "No"
    if kind in ("Date", "DateTime"):
        return _date(value)
    if kind == "Quantity":
        return f"{value.get('value', '')} {value.get('unit') or value.get('code', '')}".strip()
    if kind == "Reference":
        return str(value.get("display") or value.get("reference", ""))
    if kind == "Attachment":
        return str(value.get("title") or value.get("contentType") or "attachment")
    return str(value)


def _date(text: str) -> str:
    try:
        partial = dates.parse_date(text)
    except ValueError:
        return text
    day = "" if partial.day is None else f"{partial.day} "
    month = "" if partial.month is None else f"{_MONTHS[partial.month - 1]} "
    clock = "" if partial.hour is None else f", {partial.hour:02}:{partial.minute:02}"
    return f"{day}{month}{partial.year}{clock}{_zone(partial.offset)}"


def _zone(offset: int | None) -> str:
    """Return how far a time is from UTC; nothing where it was not said."""
    if not offset:
        return "" if offset is None else " UTC"
    hours, minutes = divmod(abs(offset), 60)
    return f" UTC{'+' if offset > 0 else '-'}{hours}" + (f":{minutes:02}" if minutes else "")
