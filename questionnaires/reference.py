"""The reference pages of the operative notes: what each item meets, its section, role and source.

`python -m questionnaires.reference docs/operative-notes` writes a page for each note, and one table
of what each note meets.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from questionnaires.catalogue import forms
from questionnaires.elements import SDC, Item, extension_value, extensions
from questionnaires.options import offered
from r4.json import Resource
from terminology.systems import CSOR, LOINC

ITEM_SOURCE = f"{CSOR}/StructureDefinition/item-source"
ITEM_ROLE = f"{CSOR}/StructureDefinition/item-role"
OPERATIVE_NOTE = "11504-8"
"""The LOINC code that a form has whose response is an operative note."""

_INTRODUCTION = """\
# {title}

Generated from the form `{url}` by `python -m questionnaires.reference`; do not edit.

{description}

Signing completes the answers, extracts the records, and makes a document that the surgeon attests:
the signature that RCS England asks for is the attester of the Composition, with its time. Where a
requirement can be met by nothing done, "none" or "not applicable" is an answer of its own.

A role says what an item is about. Only a technique is ever offered as already answered: by a
default, or carried over from the surgeon's last note of the operation and marked until confirmed.
What the EPR knows is filled in from its records; what follows from other answers is calculated
where it was left empty.
"""

_TABLE = """\
# Operative notes

Generated from the forms by `python -m questionnaires.reference`; do not edit. Each form is put
together from shared sections and its own part; its page lists every item with its source.

The requirements are those of the operation note list of RCS England, Good Surgical Practice (2014)
1.3, as quoted in published audits. The sections are those of the C-CDA Operative Note by their
LOINC codes, of which eight are required there; its profile is not claimed. A number is that of the
items of a form that meet a requirement, with those that are always required in brackets.

What a note is filled in from, and how much is then left to the surgeon: [prefill](../prefill.md).
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """One question: its text, whether it is needed, the requirements it meets, its line of the table."""

    text: str
    needed: str
    requirements: list[str]
    status: str
    line: str


def notes() -> dict[str, Resource]:
    """Map id to form, for every operative note."""
    return {
        form["id"]: form
        for form in forms().values()
        if any(code.get("code") == OPERATIVE_NOTE for code in form.get("code", ()))
    }


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name of each page and its Markdown: README.md and one for each operative note."""
    yield "README.md", _table(notes())
    for id, form in notes().items():
        yield f"{id.removeprefix('operative-note-')}.md", page(form)


def page(questionnaire: Resource) -> str:
    """Return the Markdown page of a form: what is required and the items that meet it, all items."""
    rows = list(_rows(questionnaire))
    met: dict[str, list[str]] = {}
    for row in rows:
        for requirement in row.requirements:
            met.setdefault(requirement, []).append(row.text)
    listed = [(name, "; ".join(texts)) for name, texts in sorted(met.items())]
    heads = ("Section", "LOINC", "Item", "Answers", "Needed", "Role", "Filled in", "Source")
    return "\n".join(
        [
            _INTRODUCTION.format(**questionnaire),
            "## Requirements and the items that meet them\n",
            *_lines(("Requirement", "Items"), listed),
            "\n## Items\n",
            *_lines((*heads, "Status"), ()),
            *(row.line for row in rows),
            "",
        ]
    )


def _table(held: dict[str, Resource]) -> str:
    rows = {id: list(_rows(form)) for id, form in held.items()}
    names = [id.removeprefix("operative-note-") for id in held]
    every = sorted({name for each in rows.values() for row in each for name in row.requirements})
    required = [(name, *(_count(each, name) for each in rows.values())) for name in every]
    codes = {id: dict(_sections(form)) for id, form in held.items()}
    titles = {code: title for each in codes.values() for code, title in each.items()}
    sections = [
        (code, title, *("yes" if code in codes[id] else "" for id in held))
        for code, title in sorted(titles.items())
    ]
    sources = [
        (f"[{held[id]['title']}]({name}.md)", str(len(rows[id])), *_statuses(rows[id]))
        for id, name in zip(held, names, strict=True)
    ]
    return "\n".join(
        [
            _TABLE,
            "## Items and their sources\n",
            *_lines(("Note", "Items", "Verified", "To be reviewed"), sources),
            "\n## Requirements of RCS England\n",
            *_lines(("Requirement", *names), required),
            "\n## Sections\n",
            *_lines(("LOINC", "Section", *names), sections),
            "",
        ]
    )


def _count(rows: list[_Row], requirement: str) -> str:
    needed = [row.needed for row in rows if requirement in row.requirements]
    return f"{len(needed)} ({needed.count('yes')})" if needed else ""


def _statuses(rows: list[_Row]) -> tuple[str, str]:
    verified = sum(row.status == "verified" for row in rows)
    return str(verified), str(len(rows) - verified)


def _sections(questionnaire: Resource) -> Iterator[tuple[str, str]]:
    for group in questionnaire.get("item", ()):
        for code in _loinc(group):
            yield code, group["text"]


def _loinc(group: Item) -> list[str]:
    return [code["code"] for code in group.get("code", ()) if code.get("system") == LOINC]


def _lines(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    heads = list(heads)
    rule = "|---" * len(heads) + "|"
    return [_line(heads), rule, *(_line(row) for row in rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(group: Item, item: Item, is_asked_always: bool) -> _Row:
    source = next(extensions(item, ITEM_SOURCE), {})
    text = str(item.get("text", item["linkId"])).replace("|", "\\|")
    needed = _needed(item, is_asked_always)
    status = str(extension_value(source, "status"))
    cells = (
        group.get("text", ""),
        ", ".join(_loinc(group)),
        text,
        _answers(item),
        needed,
        str(extension_value(item, ITEM_ROLE) or ""),
        _filled_in(item),
        str(extension_value(source, "source")),
        f"{status}{_reviewed(source)}",
    )
    requirements = [held["valueString"] for held in extensions(source, "requirement")]
    return _Row(text, needed, requirements, status, _line(cells))


def _reviewed(source: Item) -> str:
    who, day = extension_value(source, "reviewer"), extension_value(source, "reviewed")
    return f"; reviewed by {who}, {day}" if who else ""


def _rows(questionnaire: Resource) -> Iterator[_Row]:
    for group in questionnaire.get("item", ()):
        for item, is_asked_always in _questions(group, True):
            yield _row(group, item, is_asked_always)


def _questions(item: Item, is_asked_always: bool) -> Iterator[tuple[Item, bool]]:
    """Yield the questions at and below an item, and whether no condition stands over them."""
    is_asked_always = is_asked_always and "enableWhen" not in item
    if item["type"] not in ("group", "display"):
        yield item, is_asked_always
    for child in item.get("item", ()):
        yield from _questions(child, is_asked_always)


def _answers(item: Item) -> str:
    names = [str(value.get("display", value.get("code"))) for _, value in offered(item)]
    if "answerValueSet" in item:
        names.append(f"`{item['answerValueSet']}`")
    if item["type"] == "open-choice":
        names.append("own words")
    return "; ".join(names) if names else str(item["type"])


def _needed(item: Item, is_asked_always: bool) -> str:
    if not is_asked_always:
        return "when asked" if item.get("required") else "no, when asked"
    return "yes" if item.get("required") else "no"


def _filled_in(item: Item) -> str:
    if any(extensions(item, SDC + "initialExpression")):
        return "from the EPR"
    if any(extensions(item, SDC + "observationLinkPeriod")):
        return "from the newest observation"
    if any(extensions(item, SDC + "calculatedExpression")):
        return "calculated"
    selected = [
        str(option["valueCoding"].get("display"))
        for option in item.get("answerOption", ())
        if option.get("initialSelected")
    ]
    return f"default: {', '.join(selected)}" if selected else ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / name).write_text(text, encoding="utf-8")
