"""Whatever field or component a sender values, it is told what becomes of it.

Each segment of the golden examples is sent with every field that any version of HL7 gives it.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hl7apy import load_reference
from hl7apy.exceptions import ChildNotFound

from mappings.hl7v2 import explain
from tests.mappings.messages import CONTEXT
from tests.mappings.test_hl7v2_explain import EXAMPLES, assert_accounted

VERSIONS = ("2.3", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2")
KEPT = {"MSH": {1, 2, 4, 7, 9, 10, 11, 12, 18}, "OBX": {2, 5}}
"""Fields that say what a message, or a value, is."""


@cache
def fields(segment: str) -> dict[int, tuple[str, str]]:
    """Map the number of each field to its datatype, and the last version that has it."""
    found = {}
    for version in VERSIONS:
        with suppress(ChildNotFound):
            for name, reference, *_ in load_reference(segment, "Segment", version)[1]:
                kind = reference[2] if len(reference) > 2 else "ST"
                found[int(name.rpartition("_")[2])] = (str(kind), version)
    return found


@cache
def components(kind: str, version: str) -> tuple[str, ...]:
    with suppress(ChildNotFound):
        structs = load_reference(kind, "Datatypes_Structs", version)
        return tuple(str(reference[2]) for _, reference, *_ in structs)
    return ()


def value(kind: str, version: str) -> str:
    """Value every component and subcomponent of a datatype."""
    parts = (
        "&".join(
            f"Q{number}s{part}" for part, _ in enumerate(components(each, version) or "1", start=1)
        )
        for number, each in enumerate(components(kind, version), start=1)
    )
    return "^".join(parts) or "Q1"


def filled(line: str) -> str:
    """Value every field of a segment that is empty, and the rest of those that are not."""
    name, found = line[:3], [*line.split("|"), *[""] * 130]
    for number, (kind, version) in fields(name).items():
        if number in KEPT.get(name, ()):
            continue
        at = number - 1 if name == "MSH" else number
        every = value(kind, version).split("^")
        sent = found[at].split("^") if "~" not in found[at] else []
        if sent and len(sent) <= len(every):
            held = [*sent, *[""] * (len(every) - len(sent))]
            found[at] = "^".join(a or b for a, b in zip(held, every, strict=True))
        elif found[at]:
            found[at] += "~" + "^".join(every)
    return "|".join(found).rstrip("|")


def cases(path: Path) -> Iterator[str]:
    """Yield the message once for each of its segments, with that segment filled."""
    lines = path.read_text().strip().splitlines()
    first = {line[:3]: number for number, line in reversed(list(enumerate(lines)))}
    for number in first.values():
        yield "\r".join([*lines[:number], filled(lines[number]), *lines[number + 1 :]])


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_field_of_every_segment_of_an_example_is_accounted_for(path):
    for raw in cases(path):
        conversion = explain(raw.encode(), CONTEXT)
        assert len(conversion.ignored) > 10
        assert_accounted(conversion)
