"""hl7apy reads the same leaves as we do, wherever it can read a message at all."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hl7apy.consts
import pytest
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from mappings.hl7v2 import Message, parse
from mappings.hl7v2.parse import Place, unescape
from r4.issue import FhirError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "mappings/hl7v2/examples").glob("*.hl7"))
TOLERANT = hl7apy.consts.VALIDATION_LEVEL.TOLERANT


def number(named: object, among: list) -> int:
    """The number in hl7apy's PID_3 or CX_10; 0 where the version does not have the part.

    A part without parts of its own is named by its type, and is the first if it is the only one.
    """
    tail = (named.name or "").rpartition("_")[2]
    return int(tail) if tail.isdigit() else int(len(among) == 1 and bool(named.name))


def theirs(message: Message) -> Iterator[tuple[Place, str]]:
    """Every leaf of hl7apy's tree; a 0 in its place where hl7apy does not know the number."""
    text = message.raw.decode().replace("\r\n", "\r").replace("\n", "\r")
    text = text.replace("^~\\&#", "^~\\&", 1)  # hl7apy knows the sixth character from 2.7 on only
    segments: Counter[str] = Counter()
    for segment in parse_message(text, validation_level=TOLERANT, find_groups=False).children:
        segments[segment.name] += 1
        fields: Counter[int] = Counter()
        for field in segment.children:
            at = number(field, [])
            fields[at] += 1
            for component in field.children:
                for part in component.children:
                    # hl7apy escapes a formatting escape once more when it writes it back
                    raw = part.to_er7().replace("\\E\\.br\\E\\", "\\.br\\")
                    place = Place(
                        segment.name,
                        segments[segment.name],
                        at,
                        fields[at],
                        number(component, field.children),
                        number(part, component.children),
                    )
                    if text := unescape(raw, message.separators):
                        yield place, spelt(text)


def spelt(text: str) -> str:
    """A number without its zeros in front: hl7apy drops them where the type is NM."""
    return text.lstrip("0") if text.isdigit() else text


def assert_the_same(message: Message) -> None:
    """The same texts in the same order, and at the same places where hl7apy numbers them."""
    read = [leaf for leaf in theirs(message) if not is_separator(leaf[0])]
    walked = [(leaf.place, spelt(leaf.text)) for leaf in message.walk()]
    ours = [leaf for leaf in walked if not is_separator(leaf[0])]
    assert [(*place[:2], text) for place, text in read] == [
        (*place[:2], text) for place, text in ours
    ]
    placed = {leaf for leaf in read if all(leaf[0][2:])}
    assert len(placed) > 15
    assert placed <= set(ours)


def is_separator(place: Place) -> bool:
    """MSH-1 and MSH-2, which hl7apy splits by themselves."""
    return place.segment == "MSH" and place.field in (1, 2)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_leaf_of_the_examples_is_the_same(path):
    assert_the_same(parse(path.read_bytes()))


def test_every_leaf_of_foreign_messages_is_the_same(library):
    same, refused = [], []
    for path in sorted((library / "hl7v2/whistle").glob("*.hl7")):
        try:
            message = parse(path.read_bytes())
            assert_the_same(message)
        except FhirError as error:
            refused.append((path.stem, error.issues[0].rule))
        except HL7apyException as error:
            refused.append((path.stem, type(error).__name__))
        else:
            same.append(path.stem)
    assert refused == [
        ("oml_o21_ex2", "InvalidName"),  # hl7apy has no PRT segment in version 2.5.1
        ("oml_o21_ex3", "InvalidName"),
        ("oml_o21_ex4", "100"),
        ("oml_o21_ex6", "100"),
    ]
    assert len(same) == 16
