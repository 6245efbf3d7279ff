"""The demo's results as a page: what it holds, and that the one in docs/ is what the demo writes."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import outcome_engine
from fhir_server.commands.demo_page import page
from fhir_server.commands.demo_results import (
    ALL,
    CORE,
    SURVIVAL,
    TREATMENT_SUCCESS,
    ByHospital,
    Results,
    Scored,
)

COMMITTED = Path(__file__).parents[2] / "docs" / "demo-results.md"
NARRATIVE = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><p><a href="Patient/fde9">Patient/fde9</a>: outcome bad.</p>'
    '<p>Shown by:</p><ul><li><a href="Observation/77aa">Observation/77aa</a>: constant.</li>'
    '<li><a href="Observation/88bb">Observation/88bb</a>: daily.</li></ul>'
    "<table><tr><th>Rule</th><th>Shown by</th></tr>"
    '<tr><td>Incontinence</td><td><a href="Observation/88bb">Observation/88bb</a></td></tr></table></div>'
)
FOUND = Results(
    measures=(f"{CORE}|1.2.3", f"{SURVIVAL}|1.2.3", f"{TREATMENT_SUCCESS}|1.2.3"),
    computed_on="2026-11-23",
    outcomes=ByHospital(
        "Hirschsprung core outcome by hospital (all children are fictitious)",
        ("children", "notes", "surveys", "due", "unknown", "good", "share", "interval"),
        (
            (ALL, "100", "40", "20", "40", "10", "3", "10%", "4%-25%"),
            ("Simulated hospital A", "60", "20", "10", "20", "*", "*", "*", "1%-57%"),
            ("Simulated hospital B", "40", "20", "10", "20", "*", "0", "0%", "0%-20%"),
        ),
    ),
    survival=ByHospital(
        "Deaths within a year of surgical necrotising enterocolitis, beside what is expected",
        ("children", "deaths", "expected", "ratio", "95% limits", "position"),
        (
            ("Simulated hospital A", "35", "15", "11.2", "1.35", "0.54-1.52", "within"),
            ("Simulated hospital B", "15", "*", "5.4", "*", "0.37-1.66", "*"),
        ),
    ),
    scores=Scored(100, 98, "0.8"),
    child=NARRATIVE,
)


def test_a_childs_report_is_quoted_with_its_links_numbered() -> None:
    quoted = [line for line in page(FOUND).splitlines() if line.startswith(">")]
    assert quoted == [
        "> `Patient/1`: outcome bad.",
        ">",
        "> Shown by:",
        ">",
        "> - `Observation/1`: constant.",
        "> - `Observation/2`: daily.",
        ">",
        "> | Rule | Shown by |",
        "> |---|---|",
        "> | Incontinence | `Observation/2` |",
    ]


def test_the_reading_is_of_the_numbers_in_the_tables() -> None:
    text = " ".join(page(FOUND).split())
    assert "40 children are due" in text
    assert "The outcome of 10 is not known, so that the score is of 30." in text
    assert "What does 10% mean?** 3 of 30 are good" in text
    assert "Simulated hospital A's is 1%-57%" in text
    assert "The hospitals are 1 within, 1 masked." in text
    assert r"| Simulated hospital B | 15 | \* | 5.4 | \* | 0.37-1.66 | \* |" in text


def test_a_demo_of_too_few_children_has_no_page() -> None:
    masked = replace(FOUND.outcomes, rows=((ALL, *8 * "*"), *FOUND.outcomes.rows[1:]))
    for few in (replace(FOUND, child=None), replace(FOUND, outcomes=masked)):
        with pytest.raises(ValueError, match="--size"):
            page(few)


def test_the_page_in_docs_is_of_the_measures_in_force() -> None:
    named = re.findall(r"`Measure/([\w-]+)\|([\d.]+)`", COMMITTED.read_text(encoding="utf-8"))
    urls = (CORE, SURVIVAL, TREATMENT_SUCCESS)
    assert dict(named) == {
        url.rpartition("/")[2]: outcome_engine.measures()[url]["version"] for url in urls
    }


def test_the_page_in_docs_has_the_words_that_the_command_writes() -> None:
    assert form(COMMITTED.read_text(encoding="utf-8")) == form(page(FOUND))


def form(text: str) -> str:
    """Return a page without the child, the rows of hospitals, and what is computed."""
    lines = [line for line in text.splitlines() if not re.match(r">|\| (All|Simulated) ", line)]
    words = " ".join(" ".join(lines).split())
    words = re.sub(r"The hospitals are [^.]+", "#", words)
    words = re.sub(r"on \d+ \w+ \d{4}", "on #", words)
    return re.sub(r"Simulated hospital [A-J]|\d[\d.,%-]*\d%?|\d+%?", "#", words)
