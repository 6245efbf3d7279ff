"""A synthetic release in the shape of SNOMED CT's: every concept and every term of it is fictitious.

Identifiers have the form of RF2's, with a right check digit, in a namespace that nobody has; only the
format's own ones (is-a, kinds of description, …) are real. For tests and measurements.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from terminology.loaders import rf2

NAMESPACE = "9999999"
DATE = "20260101"
MODULE = rf2.with_check_digit(f"1{NAMESPACE}10")
REFSET = rf2.with_check_digit(f"2{NAMESPACE}10")
_GB = "900000000000508004"
_ACCEPTABLE = "900000000000549004"
_SYLLABLES = ("bal", "dor", "fen", "gim", "hul", "jop", "kef", "lor", "mib", "nax", "pol", "quan")
_KINDS = ("Disorder", "Repair", "Excision", "Finding", "Structure", "Measurement")
_TIMES = f"{DATE}\t1\t{MODULE}"
_INACTIVE = 50
"""One concept in so many is inactive, and has a replacement."""
_HELD = 20
"""One concept in so many is in the reference set."""


class Shape(NamedTuple):
    """The concepts by code, in order, and the places of the parents of each; [] for inactive ones."""

    codes: list[str]
    parents: list[list[int]]


def shape(many: int, seed: int = 1) -> Shape:
    """Return a hierarchy below one concept, about as deep as SNOMED CT's; some have several parents."""
    chance = random.Random(seed)
    codes = [rf2.with_check_digit(f"{place + 1000}{NAMESPACE}10") for place in range(many)]
    parents: list[list[int]] = [[]]
    for place in range(1, many):
        if not place % _INACTIVE:
            parents.append([])
            continue
        wanted = {chance.randrange(place // 8, max(1, place // 2)) for _ in range(_many(chance))}
        parents.append(sorted(each for each in wanted if each % _INACTIVE or not each) or [0])
    return Shape(codes, parents)


def _many(chance: random.Random) -> int:
    return 1 if chance.random() < 0.6 else 2


def term(place: int) -> str:
    """Return the preferred term of a concept: invented words, of which none means anything."""
    words, rest = [], place
    for _ in range(3):
        rest, first = divmod(rest, len(_SYLLABLES))
        words.append(_SYLLABLES[first] + _SYLLABLES[(first + place) % len(_SYLLABLES)] + "o")
    return f"{_KINDS[place % len(_KINDS)]} of {' '.join(words)} {place}"


def write(folder: Path, many: int, seed: int = 1) -> Shape:
    """Write the snapshot files of a release of so many concepts; returns what it holds."""
    made = shape(many, seed)
    for name, header, lines in (
        ("Terminology/sct2_Concept_Snapshot", "definitionStatusId", _concepts(made)),
        (
            "Terminology/sct2_Description_Snapshot-en",
            "conceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId",
            _descriptions(made),
        ),
        (
            "Terminology/sct2_Relationship_Snapshot",
            "sourceId\tdestinationId\trelationshipGroup\ttypeId\tcharacteristicTypeId\tmodifierId",
            _relationships(made),
        ),
        (
            "Refset/Language/der2_cRefset_LanguageSnapshot-en",
            "refsetId\treferencedComponentId\tacceptabilityId",
            _preferences(made),
        ),
        (
            "Refset/Content/der2_Refset_SimpleSnapshot",
            "refsetId\treferencedComponentId",
            (f"{_uuid(n)}\t{_TIMES}\t{REFSET}\t{code}" for n, code in enumerate(made.codes)
             if not n % _HELD),
        ),
        (
            "Refset/Content/der2_cRefset_AssociationSnapshot",
            "refsetId\treferencedComponentId\ttargetComponentId",
            (f"{_uuid(n)}\t{_TIMES}\t{rf2.SAME_AS}\t{made.codes[n]}\t{made.codes[n - 1]}"
             for n in range(_INACTIVE, many, _INACTIVE)),
        ),
    ):  # fmt: skip
        path = folder / f"{name}_FICTITIOUS_{DATE}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\r\n") as file:
            _write(file, f"id\teffectiveTime\tactive\tmoduleId\t{header}", lines)
    return made


def _write(file: TextIO, header: str, lines: Iterator[str]) -> None:
    file.write(f"{header}\n")
    file.writelines(f"{line}\n" for line in lines)


def _concepts(made: Shape) -> Iterator[str]:
    primitive = "900000000000074008"
    for place, code in enumerate(made.codes):
        active = int(not place or bool(place % _INACTIVE))
        yield f"{code}\t{DATE}\t{active}\t{MODULE}\t{primitive}"


def _descriptions(made: Shape) -> Iterator[str]:
    for place, code in enumerate(made.codes):
        for kind, key, text in (
            (rf2.FULLY_SPECIFIED, "1", f"{term(place)} (fictitious concept)"),
            (rf2.SYNONYM, "2", term(place)),
            (rf2.SYNONYM, "3", f"Other {term(place).lower()}"),
        ):
            yield f"{_description(place, key)}\t{_TIMES}\t{code}\ten\t{kind}\t{text}\t900000000000448009"


def _preferences(made: Shape) -> Iterator[str]:
    for place in range(len(made.codes)):
        for key, acceptability in (
            ("1", rf2.PREFERRED), ("2", rf2.PREFERRED), ("3", _ACCEPTABLE),
        ):  # fmt: skip
            description = _description(place, key)
            yield f"{_uuid(place)}\t{_TIMES}\t{_GB}\t{description}\t{acceptability}"


def _relationships(made: Shape) -> Iterator[str]:
    some = "900000000000011006\t900000000000451002"
    for place, parents in enumerate(made.parents):
        for each in parents:
            yield (
                f"{place}\t{_TIMES}\t{made.codes[place]}\t{made.codes[each]}\t0\t{rf2.IS_A}\t{some}"
            )


def _description(place: int, key: str) -> str:
    return rf2.with_check_digit(f"{place + 1000}{key}{NAMESPACE}11")


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"
