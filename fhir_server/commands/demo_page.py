"""The demo's results as a page: one bad outcome as a surgeon reads it, summaries as an analyst does.

The same seed gives the same page, but for the day on which the outcomes were computed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from fhir_server.commands.demo_results import ALL, ByHospital, Results
from outcome_engine.civil import said
from terminology.systems import CSOR

_HEAD = """\
<!-- Written by `python -m fhir_server demo --results docs/demo-results.md`; change the code. -->

# What the demo finds, read

`make demo` simulates three years of ten hospitals, computes three measures and shows what follows. **All
children and all hospitals are fictitious**, and the results are nobody's. The case-mix model and the
parameters of the Treatment Success Score are made up, and signed by the demo itself.

Computed on {day}, of {children} children, by {measures}.

## One bad outcome, as its surgeon reads it

The narrative (`text`) of the child's individual MeasureReport. What stands `in this type` is a link to the
resource that it names. A registry draws its ids anew; here they are numbered as they come.

{child}

What decided is on record, with its date, and can be looked up by its link. What to do about it is not said:
that is for the surgeon.

## Summaries, as an analyst reads them

**{outcomes_title}**

{outcomes}

Due are the children with Hirschsprung's disease who have reached five years; unknown, those of them whose
outcome is not known. Hospitals' counts of outcomes are rounded to 5, and `*` stands for 1 to 7.

1. **Who is counted?** {due} children are due; nobody else is in any score. The outcome of {unknown} is not
   known, so that the score is of {known}.
2. **What does {share} mean?** {good} of {known} are good, by a combination of published outcomes that is a
   proposal: any grade of incontinence makes it bad. The interval of 95% is {interval}.
3. **What may be said of one hospital?** Where the count is masked, nothing but an interval, which holds
   whatever the mask may hide: {widest}'s is {widest_interval}.
4. **Who is best?** The table does not say, and cannot: it is not adjusted for case-mix.

**{survival_title}**

{survival}

Expected is what a model predicts of each hospital's own children, by their gestation at birth; it was fitted
to these same children.

1. **Who stands out?** The hospitals are {positions}. With so few children being within the limits is no
   evidence of safety: the report gives, beside each, the chance that a doubled odds of death would have
   been noticed (`power-of-alert`).
2. **Why may a ratio lie outside the limits, and its position be within?** Deaths are rounded to 5, and the
   ratio comes from what is shown; the position comes from the exact number.
3. **Are two hospitals to be compared?** No. The limits are for the hospital's own children.

**Treatment Success Score**

{scored} of {all_children} children are scored, their mean is {mean}. Each report says that it is
illustrative, its parameters being made up: it tells nothing of anybody.
"""


def page(found: Results) -> str:
    """Return the page, as Markdown.

    Raises ValueError where there is nothing to read: no outcome is bad, or so few that all is masked.
    """
    nation = _of(found.outcomes, ALL)
    if found.child is None or "*" in nation.values():
        raise ValueError(
            "the demo has too few children for a page of results: give it a greater --size"
        )
    widest = max(found.outcomes.rows, key=lambda row: _width(row[-1]))
    return _HEAD.format(
        day=said(found.computed_on),
        children=nation["children"],
        measures=", ".join(f"`{each.removeprefix(f'{CSOR}/')}`" for each in found.measures),
        child=_quoted(found.child),
        outcomes_title=found.outcomes.title,
        outcomes=_table(found.outcomes),
        due=nation["due"],
        unknown=nation["unknown"],
        known=int(nation["due"]) - int(nation["unknown"]),
        good=nation["good"],
        share=nation["share"],
        interval=nation["interval"],
        widest=widest[0],
        widest_interval=widest[-1],
        survival_title=found.survival.title,
        survival=_table(found.survival),
        positions=_positions(found.survival),
        scored=found.scores.scored,
        all_children=found.scores.children,
        mean=found.scores.mean,
    )


def _of(found: ByHospital, name: str) -> dict[str, str]:
    row = next(row for row in found.rows if row[0] == name)
    return dict(zip(found.headings, row[1:], strict=True))


def _width(interval: str) -> int:
    lower, upper = map(int, re.findall(r"\d+", interval))
    return upper - lower


def _positions(survival: ByHospital) -> str:
    """Say how many hospitals are where, those whose position is masked too."""
    counts = Counter(row[-1].replace("*", "masked") for row in survival.rows)
    return ", ".join(f"{count} {position}" for position, count in counts.most_common())


def _table(found: ByHospital) -> str:
    lines = ["| hospital | " + " | ".join(found.headings) + " |"]
    lines.append("|---" + "|---:" * len(found.headings) + "|")
    return "\n".join([*lines, *map(_line, found.rows)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(each.replace("*", r"\*") for each in cells) + " |"


def _quoted(div: str) -> str:
    """Return a narrative as a quotation: its paragraphs, items and table, the ids numbered."""
    return "\n".join(f"> {line}".rstrip() for line in _blocks(_numbered(div)))


def _numbered(div: str) -> ElementTree.Element:
    """Return a narrative whose links are code, and number the resources of each type in it."""
    root = ElementTree.fromstring(div)  # noqa: S314 - our own server's narrative
    numbers: dict[str, str] = {}
    types: Counter[str] = Counter()
    for element in root.iter():
        if _tag(element) == "a":
            reference = element.text or ""
            if reference not in numbers:
                kind = reference.partition("/")[0]
                types[kind] += 1
                numbers[reference] = f"{kind}/{types[kind]}"
            element.text = f"`{numbers[reference]}`"
    return root


def _blocks(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        kind = _tag(element)
        if kind == "p":
            yield from (_text(element), "")
        elif kind == "li":
            yield f"- {_text(element)}"
        elif kind == "table":
            head, *rows = ([_text(cell) for cell in row] for row in element)
            yield from ("", _line(head), "|---" * len(head) + "|", *map(_line, rows))


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
