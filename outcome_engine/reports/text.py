"""The narrative of a child's report: its explanation as XHTML, with links to what decided.

https://hl7.org/fhir/R4/narrative.html
"""

import re
from collections.abc import Iterable, Sequence
from html import escape

from outcome_engine.assessment.assess import ChildOutcome, Finding
from outcome_engine.assessment.explain import Explanation, explain
from outcome_engine.civil import said
from r4.json import Resource
from terminology import Terminology

_XHTML = "http://www.w3.org/1999/xhtml"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FOUND = {"met": "met", "not-met": "not met", "unknown": "not known", "not-due": "not due yet"}


def report_text(
    outcome: ChildOutcome, record: Sequence[Resource], terminology: Terminology
) -> Resource:
    """Return the Narrative (status generated) of the outcome that `assess` gave of this record.

    Links are relative (`Type/id`), and stand where the sentences name a resource of the record or a
    hospital; what a record says is escaped.
    """
    explanation = explain(outcome, record, terminology)
    linked = re.compile(_any_of(_named(outcome, explanation)))
    parts = [f"<p>{_text(each, linked)}</p>" for each in explanation.sentences]
    parts += _list(explanation, linked)
    parts += _table(outcome.findings, linked)
    return {"status": "generated", "div": f'<div xmlns="{_XHTML}">{"".join(parts)}</div>'}


def _named(outcome: ChildOutcome, explanation: Explanation) -> Iterable[str]:
    """Yield the references that are links."""
    yield outcome.patient
    yield from outcome.used
    yield from (each.reference for finding in outcome.findings for each in finding.evidence)
    yield from ([outcome.hospital] if outcome.hospital else [])
    for each in explanation.elsewhere:
        yield from (each.reference, each.hospital)


def _any_of(references: Iterable[str]) -> str:
    """Return the pattern of references in a sentence: the longest that fits, and none within a longer."""
    listed = sorted(set(references), key=len, reverse=True)
    return rf"(?<![\w/-])({'|'.join(map(re.escape, listed))})(?![\w-])"


def _text(sentence: str, linked: re.Pattern[str]) -> str:
    """Escape a sentence, and make links of the references in it: every second part of the split."""
    parts = linked.split(_NOT_XML.sub("\ufffd", sentence))
    return "".join(_link(each) if at % 2 else escape(each) for at, each in enumerate(parts))


def _link(reference: str) -> str:
    return f'<a href="{escape(reference)}">{escape(reference)}</a>'


def _list(explanation: Explanation, linked: re.Pattern[str]) -> list[str]:
    """Return what shows the outcome, where the sentences have not said it one by one."""
    further = [each for each in explanation.evidence if each not in explanation.sentences]
    if not further:
        return []
    items = "".join(f"<li>{_text(each, linked)}</li>" for each in further)
    return [f"<p>Shown by:</p><ul>{items}</ul>"]


def _table(findings: Sequence[Finding], linked: re.Pattern[str]) -> list[str]:
    """Return every rule's finding, its date, and the resources that show it."""
    if not findings:
        return []
    heads = "".join(f"<th>{each}</th>" for each in ("Rule", "Finding", "Date", "Shown by"))
    return [f"<table><tr>{heads}</tr>{''.join(_row(each, linked) for each in findings)}</table>"]


def _row(finding: Finding, linked: re.Pattern[str]) -> str:
    date = said(finding.date) if finding.date else ""
    shown = ", ".join(dict.fromkeys(each.reference for each in finding.evidence))
    cells = (finding.rule.title, _FOUND[finding.status], date, shown)
    return f"<tr>{''.join(f'<td>{_text(each, linked)}</td>' for each in cells)}</tr>"
