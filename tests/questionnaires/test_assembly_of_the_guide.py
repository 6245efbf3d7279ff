"""The guide's own modular form is assembled as its answer shows, but where that answer cannot follow."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from questionnaires.assembly import assemble
from r4.issue import FhirError
from r4.json import Resource, decode

DIFFERENT = {
    r"id": "The guide's answer has an id of its own as an example; assembly keeps the form's.",
    r"description": "The answer leaves it out; assembly does not change it.",
    r"text\..*": "The narrative tells of the form before it was assembled.",
    r"extension\.sdc-questionnaire-assembledFrom'?\.valueCanonical": (
        "The answer names a version that the module has not."
    ),
    r"item\.[12]\.extension\.sdc-questionnaire-initialExpression\..*": (
        "The text says that an item takes an element's extensions; the answer has the others alone."
    ),
    r"item\.3\.item\.\d\.linkId": "The text says linkId, dot, path; the answer has an older form.",
    r"item\.3\.item\.4\.extension\.targetConstraint\..*": "The library words this constraint otherwise.",
    r"item\.4\.item\.0\.(definition|text)": "The module's group has no definition to take it from.",
    r".*expression": "The answer writes `first()` where the module writes `[0]`, or the reverse.",
    r"item\.4\.item\.0\.item\.0\.text": "The answer leaves out the text of the module's item.",
    r"item\.4\.repeats": "The answer leaves out that the group repeats.",
}
"""Paths of the guide's answer that do not follow from its request, its modules and its text."""


@pytest.fixture
def modules(library: Path) -> dict[str, Resource]:
    """Give the guide's forms, and its library of questions, by url."""
    folder = library / "sdc"
    paths = [*folder.glob("hl7-sdc-examples/Questionnaire-*.json"),
             folder / "hl7-sdc-defs" / "StructureDefinition-SdcQuestionLibrary.json"]  # fmt: skip
    return {held["url"]: held for path in paths if "url" in (held := decode(path.read_bytes()))}


def test_the_answer_of_the_guide_is_given(library: Path, modules: dict[str, Resource]) -> None:
    expected = _form(library, "sdc-modular-root-assembled")
    request = _form(library, "sdc-assemble-request")
    # The request gives two groups the same linkIdPrefix; its answer is that of another one.
    request["item"][4]["extension"][1] = deepcopy(expected["item"][4]["extension"][1])
    made, issues = assemble(request, lambda named: modules.get(named.partition("|")[0]))
    ours, theirs = dict(_leaves(made)), dict(_leaves(expected))
    differing = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    unexplained = {path for path in differing if not any(re.fullmatch(p, path) for p in DIFFERENT)}
    assert unexplained == set()
    assert len(theirs.keys() - differing) > 150
    assert [issue.code for issue in issues] == ["informational", "not-found"]
    assert "non-existent-library#Stuff.phone" in issues[1].diagnostics


def test_the_request_as_it_stands_makes_two_items_of_one_link_id(
    library: Path, modules: dict[str, Resource]
) -> None:
    with pytest.raises(FhirError, match=r"'patientname\.1', 'patientname\.2'"):
        assemble(
            _form(library, "sdc-assemble-request"),
            lambda named: modules.get(named.partition("|")[0]),
        )


def _form(library: Path, name: str) -> Resource:
    path = library / "sdc" / "hl7-sdc-examples" / f"Parameters-{name}.json"
    resource: Resource = decode(path.read_bytes())["parameter"][0]["resource"]
    return resource


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its path; an extension's place is its url, for their order is free."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, list):
        seen: Counter[str] = Counter()
        for at, value in enumerate(node):
            name = value["url"].rpartition("/")[2] if path.endswith(".extension") else str(at)
            seen[name] += 1
            yield from _leaves(value, f"{path}.{name}" + "'" * (seen[name] - 1))
    else:
        yield path.lstrip("."), node
