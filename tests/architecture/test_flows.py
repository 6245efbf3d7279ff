"""The diagrams of docs/flows are the code: every name exists, every hop is a call, and none is too long."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FLOWS = sorted((ROOT / "docs" / "flows").glob("*.md"))
MOST_HOPS = {"create": 4, "hl7v2": 4, "note": 4, "measure": 3, "outcomes": 3}
MOST_PARTICIPANTS = 5
PACKAGES = "fhir_server|outcome_engine|questionnaires|mappings|profiles|terminology|r4"
NAME = re.compile(rf"\b((?:{PACKAGES})(?:\.\w+)*):(\w+)")
PARTICIPANT = re.compile(r"participant (\w+) as ([\w.]+)")
CALL = re.compile(r"(\w+)->>(\w+): (\S+):(\w+)$")
COMPOSITION_ROOT = ROOT / "fhir_server" / "app.py"


def diagram(flow: Path) -> list[str]:
    text = flow.read_text()
    assert text.count("```mermaid") == 1
    return [line.strip() for line in text.split("```mermaid")[1].split("```")[0].splitlines()]


def calls(flow: Path, *, optional: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield caller, callee, module and function of each solid arrow, those in `opt` only if asked."""
    inside = False
    for line in diagram(flow):
        if line.startswith("opt "):
            inside = True
        elif line == "end":
            inside = False
        elif "->>" in line and "-->>" not in line:
            match = CALL.match(line)
            assert match, f"{line!r} does not name a function as module:function"
            if optional or not inside:
                yield match[1], match[2], match[3], match[4]


def rooms(flow: Path) -> dict[str, str]:
    return dict(match.groups() for line in diagram(flow) if (match := PARTICIPANT.match(line)))


def sources(room: str) -> Iterator[Path]:
    """Yield the Python files of a room of the server: a module, or a package and all in it."""
    place = ROOT / "fhir_server" / Path(*room.split("."))
    yield from place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]


def imported(file: Path) -> set[str]:
    """Return the modules, and the names in modules, that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def longest(flow: Path) -> int:
    """Count the rooms on the longest way from the caller outside inwards; the caller is none of ours."""
    following: dict[str, set[str]] = {}
    for caller, callee, _, _ in calls(flow, optional=False):
        following.setdefault(caller, set()).add(callee)

    def way(room: str) -> int:
        return 1 + max((way(other) for other in following.get(room, ())), default=0)

    return way(next(iter(rooms(flow)))) - 1


def test_every_flow_of_the_design_has_its_diagram() -> None:
    assert {flow.stem for flow in FLOWS} == set(MOST_HOPS)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.stem)
class TestFlow:
    def test_every_name_exists_in_the_code(self, flow: Path) -> None:
        names = NAME.findall(flow.read_text())
        missing = [
            f"{module}:{name}"
            for module, name in names
            if not hasattr(importlib.import_module(module), name)
        ]
        assert names
        assert missing == []

    def test_a_caller_imports_what_it_calls(self, flow: Path) -> None:
        room_of = rooms(flow)
        for caller, _, module, name in calls(flow, optional=True):
            room = room_of[caller]
            if room[0].isupper():
                continue  # outside: a client, a hospital, an EPR
            # A door may be handed what it calls by the composition root.
            known = set().union(*map(imported, [*sources(room), COMPOSITION_ROOT]))
            assert known & {module, f"{module}.{name}"}, f"{room} does not know {module}:{name}"

    def test_the_walk_is_no_longer_than_the_design_allows(self, flow: Path) -> None:
        assert 1 < longest(flow) <= MOST_HOPS[flow.stem]

    def test_a_reader_can_take_it_in_at_a_glance(self, flow: Path) -> None:
        assert len(rooms(flow)) <= MOST_PARTICIPANTS
