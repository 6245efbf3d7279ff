"""The reference page of a form: the requirement that each item meets, its section, its source.

`python -m questionnaires.reference > docs/operative-note.md` writes the page of the operative note.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from questionnaires.catalogue import forms
from questionnaires.elements import Item, extension_value, extensions
from questionnaires.options import offered
from r4.json import Resource
from terminology.systems import CSOR, LOINC

ITEM_SOURCE = f"{CSOR}/StructureDefinition/item-source"

_INTRODUCTION = """\
# {title}

Generated from the form `{url}` by `python -m questionnaires.reference`; do not edit.

{description}

Signing completes the answers, extracts the records, and makes a document that the surgeon attests:
the signature that RCS England asks for is the attester of the Composition, with its time. Where a
requirement can be met by nothing done, "none" or "not applicable" is an answer of its own, and no
answer is filled in beforehand.
"""


def page(questionnaire: Resource) -> str:
    """Return the Markdown page of a form: what is required and the items that meet it, all items."""
    introduction = _INTRODUCTION.format(
        title=questionnaire["title"],
        url=questionnaire["url"],
        description=questionnaire["description"],
    )
    rows = list(_rows(questionnaire))
    met: dict[str, list[str]] = {}
    for row in rows:
        for requirement in row.requirements:
            met.setdefault(requirement, []).append(row.text)
    requirements = [f"| {name} | {'; '.join(texts)} |" for name, texts in sorted(met.items())]
    return "\n".join(
        [
            introduction,
            "## Requirements and the items that meet them\n",
            "| Requirement | Items |",
            "|---|---|",
            *requirements,
            "\n## Items\n",
            "| Section | LOINC | Item | Answers | Needed | Source | Status |",
            "|---|---|---|---|---|---|---|",
            *(row.line for row in rows),
            "",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One question: its text, the requirements it meets, its line of the table."""

    text: str
    requirements: list[str]
    line: str


def _row(group: Item, item: Item) -> _Row:
    source = next(extensions(item, ITEM_SOURCE), {})
    text = str(item.get("text", item["linkId"])).replace("|", "\\|")
    loinc = [code["code"] for code in group.get("code", ()) if code.get("system") == LOINC]
    cells = (
        group.get("text", ""),
        ", ".join(loinc),
        text,
        _answers(item),
        _needed(item),
        str(extension_value(source, "source")),
        str(extension_value(source, "status")),
    )
    requirements = [held["valueString"] for held in extensions(source, "requirement")]
    return _Row(text, requirements, f"| {' | '.join(cells)} |")


def _rows(questionnaire: Resource) -> Iterator[_Row]:
    for group in questionnaire.get("item", ()):
        for item in _questions(group):
            yield _row(group, item)


def _questions(item: Item) -> Iterator[Item]:
    if item["type"] not in ("group", "display"):
        yield item
    for child in item.get("item", ()):
        yield from _questions(child)


def _answers(item: Item) -> str:
    names = [str(value.get("display", value.get("code"))) for _, value in offered(item)]
    if item["type"] == "open-choice":
        names.append("own words")
    return "; ".join(names) if names else str(item["type"])


def _needed(item: Item) -> str:
    if "enableWhen" in item:
        return "when asked" if item.get("required") else "no, when asked"
    return "yes" if item.get("required") else "no"


if __name__ == "__main__":
    sys.stdout.write(page(forms()[f"{CSOR}/Questionnaire/operative-note-hirschsprung"]))
