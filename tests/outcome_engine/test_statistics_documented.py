"""What docs/statistics.md and docs/choice.md show as commands are; the published sets have their tests."""

import re
import shlex
from pathlib import Path

import pytest

from fhir_server.__main__ import parser

STATISTICS, CHOICE = (
    Path("docs", f"{name}.md").read_text(encoding="utf-8") for name in ("statistics", "choice")
)
SHOWN = re.findall(
    r"^python -m fhir_server (.+)$", (STATISTICS + CHOICE).replace("\\\n", ""), re.MULTILINE
)
TESTS = Path("tests/outcome_engine")
# The published sets that the engine must reproduce, and who published each.
SETS = {
    "UK baby heart surgery 1991-95": "Spiegelhalter; The Art of Statistics",
    "Surgical: institutional ranking": "BUGS; lme4",
    "Byar and Wilson": "PHEindicatormethods",
    "proportion and ratio funnels": "PHEindicatormethods",
    "indirectly standardised ratios": "PHEindicatormethods",
    "directly standardised rates, their funnel": "PHEindicatormethods",
    "sex2": "logistf",
    "Contraception": "lme4; mlmRev",
    "TravelMode": "Greene",
    "Train": "mlogit; Ecdat",
    "rural, pork, rice, syn.res: shapes, not numbers": "support.CEs",
}
LISTED = [
    [cell.strip() for cell in row.split("|")[1:-1]]
    for row in STATISTICS.partition("| set | published by | tests |\n|---|---|---|\n")[2]
    .partition("\n\n")[0]
    .splitlines()
]


def test_every_action_of_case_mix_is_shown() -> None:
    actions = {shlex.split(each)[1] for each in SHOWN if each.startswith("case-mix ")}
    assert actions == {"fit", "show", "compare", "monitor", "compare-scores"}


@pytest.mark.parametrize("shown", SHOWN)
def test_what_is_shown_is_taken_by_the_command_line(shown: str) -> None:
    assert callable(parser().parse_args(shlex.split(shown)).run)


def test_every_published_set_is_listed() -> None:
    assert {name: published for name, published, _ in LISTED} == SETS


@pytest.mark.parametrize(("published", "named"), [(row[1], row[2]) for row in LISTED])
def test_the_tests_of_a_published_set_are_there_and_name_its_source(
    published: str, named: str
) -> None:
    tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", named)
    assert len(tests) == named.count("`") / 2 > 0
    for file, name in tests:
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE), name
    text = "".join((TESTS / file).read_text("utf-8") for file in {file for file, _ in tests})
    for source in published.split("; "):
        assert source in text, f"no test of {named} names {source}"
