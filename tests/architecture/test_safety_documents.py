"""The threat model and the hazard log name tests that are there, and say what nobody has decided yet."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
THREATS, HAZARDS = ROOT / "docs/threat-model.md", ROOT / "docs/clinical-safety/hazard-log.md"
NAMED = re.compile(r"`(tests/[\w/.]+\.py(?:::\w+)+)`")
STRIDE = {
    "spoofing",
    "tampering",
    "repudiation",
    "disclosure",
    "denial of service",
    "elevation",
}
SEVERITY = {"minor", "significant", "considerable", "major", "catastrophic"}
LIKELIHOOD = {"very low", "low", "medium", "high", "very high"}
RISK = re.compile(
    r"^\| (initial|residual) risk, proposed \| severity ([\w ]+), likelihood ([\w ]+) \|$"
)


@cache
def known_in(file: str) -> frozenset[str]:
    """List the tests of a file, each as `Class::test` or `test`."""
    place, found = ROOT / file, set()
    if place.is_file():
        for node in ast.parse(place.read_text()).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
            for each in inside:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(before + each.name)
    return frozenset(found)


def sections(file: Path) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", file.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("document", [THREATS, HAZARDS], ids=lambda each: each.name)
def test_every_test_that_is_named_is_there(document: Path) -> None:
    named = NAMED.findall(document.read_text())
    assert len(named) > 30
    missing = [
        each for each in named if each.split("::", 1)[1] not in known_in(each.split("::")[0])
    ]
    assert not missing


def test_a_test_that_is_not_there_would_be_missed() -> None:
    here = "tests/architecture/test_safety_documents.py"
    assert "test_every_test_that_is_named_is_there" in known_in(here)
    assert "test_that_nobody_wrote" not in known_in(here)
    assert known_in("tests/nowhere.py") == frozenset()


def test_each_door_has_threats_of_all_six_kinds() -> None:
    for door, text in sections(THREATS).items():
        kinds = set(re.findall(r"^\| ([a-z ]+) \|", text, re.MULTILINE))
        assert kinds == STRIDE, door


@pytest.mark.parametrize(("title", "text"), sections(HAZARDS).items())
def test_each_hazard_has_all_that_a_safety_officer_needs_and_is_accepted_by_nobody(
    title: str, text: str
) -> None:
    assert re.match(r"H\d\d: ", title)
    for row in ("cause", "effect", "control", "shown by"):
        assert re.search(rf"^\| {row} \| \S.+ \|$", text, re.MULTILINE), row
    risks = {m[1]: (m[2], m[3]) for line in text.splitlines() if (m := RISK.match(line))}
    assert risks.keys() == {"initial", "residual"}
    assert all(severity in SEVERITY and how in LIKELIHOOD for severity, how in risks.values())
    assert "| accepted | awaits a Clinical Safety Officer |" in text
    assert NAMED.search(text) or "no test: the control is a procedure" in text


def test_no_number_of_a_hazard_is_used_twice() -> None:
    numbers = re.findall(r"^## (H\d\d):", HAZARDS.read_text(), re.MULTILINE)
    assert numbers == sorted(set(numbers))


def test_the_log_says_that_nothing_is_accepted() -> None:
    text = HAZARDS.read_text()
    assert "**Nothing here has been accepted.**" in text
    assert "to be accepted by a Clinical Safety Officer" in text
